#!/bin/bash
# Builds CPythons that this machine lacks from Debian's own source packages, through the mirror that apt is set up with.
#   build-python.sh 3.13t          the free-threaded 3.13
# They go to ${XDG_CACHE_HOME:-$HOME/.cache}/fastpool/pythons/SERIES, where find-python.sh looks; one that is there is
# left alone. About 3 minutes each on 2 cores. PGO=1 optimises by profile (3 times as long): for timings only.
set -euo pipefail
pythons=${XDG_CACHE_HOME:-$HOME/.cache}/fastpool/pythons
fail() { echo "build-python: $*" >&2; exit 1; }

wanted=()
for series in "$@"; do
  [[ $series =~ ^3\.[0-9]+t?$ ]] || fail "$series is not a series like 3.13 or 3.13t"
  [[ -x $pythons/$series/bin/python3 ]] || wanted+=("$series")
done
((${#wanted[@]})) || exit 0

command -v apt-get >/dev/null || fail "needs a Debian machine (apt-get); elsewhere put a free-threaded Python on the PATH"
[[ -f /usr/share/keyrings/debian-archive-keyring.gpg ]] || fail "needs Debian's archive keyring (debian-archive-keyring)"
sudo=()
if [[ $(id -u) != 0 ]]; then
  command -v sudo >/dev/null || fail "needs root, or sudo, to install what CPython is built with"
  sudo=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" apt-get install -y -qq --no-install-recommends build-essential dpkg-dev pkg-config xz-utils libssl-dev \
  zlib1g-dev libffi-dev libbz2-dev liblzma-dev libsqlite3-dev libexpat1-dev uuid-dev >/dev/null

# newer suites' sources, through lists of our own: the machine's apt stays as it is
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,source}
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m 1 '/debian/\?$') ||
  fail "apt has no Debian mirror configured"
for suite in trixie testing sid; do
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
done >"$work/sources.list"
apt=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
apt-get "${apt[@]}" update -qq

# a mirror may list what it does not hold: take the newest that it really gives
fetch() {
  local version
  for version in $(apt-cache "${apt[@]}" showsrc "python$1" | sed -n 's/^Version: //p' | sort -Vru); do
    (cd "$work/source" && apt-get "${apt[@]}" source --download-only --only-source -qq "python$1=$version") \
      >/dev/null 2>&1 && return
  done
  fail "the mirror gives no source for python$1"
}

# quietly COMMAND...: its output only if it fails
quietly() { "$@" >"$work/output" 2>&1 || { tail -n 30 "$work/output" >&2; fail "failed: $*"; }; }

for series in "${wanted[@]}"; do
  plain=${series%t}
  tree=$work/tree-$plain
  if [[ ! -d $tree ]]; then
    fetch "$plain"
    mkdir "$tree"
    tar xf "$(find "$work/source" -name "python${plain}_*.orig.tar.xz" | sort -V | tail -n 1)" -C "$tree" --strip-components=1
  fi
  flags=(--with-ensurepip=install)
  [[ $series == *t ]] && flags+=(--disable-gil)
  [[ ${PGO:-0} == 1 ]] && flags+=(--enable-optimizations)
  mkdir "$work/build-$series"
  cd "$work/build-$series"
  quietly "$tree/configure" --prefix="$pythons/$series" "${flags[@]}"
  quietly make "-j$(nproc)"
  quietly make install
  "$pythons/$series/bin/python3" -c 'import ssl, sys; print("built", sys.version)'
done
