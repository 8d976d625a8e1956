#!/bin/sh
# in-venv.sh PROGRAM ARGUMENT…: runs a program with those of .venv first on its path, for the hooks before a commit.
PATH="$(cd "$(dirname "$0")/.." && pwd)/.venv/bin:$PATH" exec "$@"
