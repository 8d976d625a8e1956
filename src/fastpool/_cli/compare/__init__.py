"""The measurements of `fastpool demo`, `fastpool bench` and `python -m bench`, and their output.

Everything is measured in pairs: both sides take turns in one run on one machine, and only their ratio counts.
Figures from different runs, machines or Pythons are never compared.
"""
