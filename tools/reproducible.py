"""Builds the sdist and a wheel twice, in two folders and from two copies of the checkout, and compares them bytewise.

python -m tools.reproducible
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.sdist import VARIABLE, pin_the_time
from tools.wheels import ROOT, build_sdist, build_wheel


def copy_to(to: Path) -> None:
    """A copy of the files that git knows, as they are now; their times are those of the copying."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, copy = ROOT / name, to / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
            copy.chmod(source.stat().st_mode)


def build(folder: Path) -> dict[str, str]:
    """Build both from a copy of the checkout in `folder`; file name → hash."""
    copy, out = folder / "checkout", folder / "out"
    out.mkdir(parents=True)
    copy_to(copy)
    sdist = build_sdist(out, copy)
    wheel = build_wheel(sys.executable, sdist, out, offline=True)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (sdist, wheel)}


def main() -> None:
    moment = pin_the_time(ROOT)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory(suffix="-and-a-longer-name") as other:
        first, second = build(Path(one, "a")), build(Path(other, "b", "deeper"))
    for name, digest in first.items():
        print(f"{digest}  {name}")
    if first != second:
        sys.exit(f"built again with {VARIABLE}={moment}, they differ: {second}")
    print(f"built twice with {VARIABLE}={moment}: equal, byte by byte")


if __name__ == "__main__":
    main()
