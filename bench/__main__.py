"""``python -m bench``: all questions, their targets, and whether they are reached; the same as ``fastpool bench``."""

from fastpool._cli import bench

bench(prog_name="python -m bench")
