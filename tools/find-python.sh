#!/bin/sh
# Finds Pythons that fastpool can be built with: CPython 3.11 or newer, with venv, pip and the C headers.
#   find-python.sh          the first that fits: python3 itself if it does
#   find-python.sh 3.12     one of that series; 3.13t is the free-threaded one
#   find-python.sh --all    one of each series
# Looks on the PATH, in pyenv's folder, and where tools/build-python.sh and tools/python-3.14.sh put theirs. Prints paths, one a line.
set -u
want=${1:-}
pyenv=${PYENV_ROOT:-$HOME/.pyenv}
built=${XDG_CACHE_HOME:-$HOME/.cache}/fastpool/pythons

# prints "SERIES PATH" if the Python given is good enough
describe() {
  "$1" - 2>/dev/null <<'PYTHON'
import sys, sysconfig, pathlib
import ensurepip, venv
if sys.version_info >= (3, 11) and sys.implementation.name == "cpython":
    if pathlib.Path(sysconfig.get_path("include"), "Python.h").exists():
        free = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
        print("{}.{}{}".format(*sys.version_info[:2], free), sys.executable)
PYTHON
}

seen=' '
for python in python3 python3.15 python3.14 python3.13 python3.12 python3.11 python \
  "$pyenv"/versions/*/bin/python3 "$built"/*/bin/python3; do
  command -v "$python" >/dev/null || continue
  found=$(describe "$python") && [ -n "$found" ] || continue
  series=${found%% *}
  case $want in
    --all) case $seen in *" $series "*) continue ;; esac; seen="$seen$series "; echo "${found#* }" ;;
    "") case $series in *t) continue ;; esac; echo "${found#* }"; exit 0 ;;
    "$series") echo "${found#* }"; exit 0 ;;
  esac
done
if [ "$seen" = ' ' ]; then
  echo "fastpool: no CPython ${want:-3.11 or newer} with venv, pip and C headers on the PATH or under $pyenv" >&2
  exit 1
fi
