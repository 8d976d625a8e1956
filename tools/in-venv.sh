#!/bin/sh
# in-venv.sh PROGRAM ARGUMENT…: runs a program with those of .venv first on its path. For .pre-commit-config.yaml.
PATH="$(cd "$(dirname "$0")/.." && pwd)/.venv/bin:$PATH" exec "$@"
