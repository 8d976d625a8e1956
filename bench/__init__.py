"""Benchmarks: ``python -m bench`` for the table of ratios, ``pytest bench`` for pytest-benchmark's groups."""
