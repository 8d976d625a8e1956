"""``python -m bench``: all measurements, their targets, and whether they are reached; an alias of ``fastpool
bench``."""

from fastpool._cli.commands import bench

bench(prog_name="python -m bench")
