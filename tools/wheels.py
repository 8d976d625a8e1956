"""Build an sdist, wheels from that sdist for each Python given (default: each installed one), and try each wheel.

    python -m tools.wheels [--out DIR] [PYTHON …]

A wheel is tried (smoke.py) in an empty environment without a compiler on its path, as on a user's machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tools.contents import sdist_faults, wheel_faults

ROOT = Path(__file__).resolve().parent.parent
NO_COMPILER = {"CC": "false", "CXX": "false", "LDSHARED": "false"}


def call(command: list[object], **kwargs: object) -> None:
    """Run a command quietly; if it fails, show its output and exit."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **kwargs)  # type: ignore[call-overload]
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        sys.exit(f"failed: {' '.join(map(str, command))}")


def expect_none(what: Path, faults: list[str]) -> None:
    if faults:
        sys.exit("\n".join([f"{what.name} is not as it should be:", *faults]))


def only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"{folder}: one {pattern} expected, not {[p.name for p in found]}")
    return found[0]


def build_sdist(out: Path) -> Path:
    with tempfile.TemporaryDirectory() as scratch:
        call([sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", scratch, ROOT], cwd=ROOT)
        sdist = only(Path(scratch), "*.tar.gz")
        with tarfile.open(sdist) as archive:
            expect_none(sdist, sdist_faults(member.name for member in archive if member.isfile()))
        return Path(sdist.replace(out / sdist.name))


def build_wheel(python: str, sdist: Path, out: Path) -> Path:
    with tempfile.TemporaryDirectory() as scratch:
        call([python, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "--wheel-dir", scratch, sdist], cwd=scratch)
        wheel = only(Path(scratch), "*.whl")
        with zipfile.ZipFile(wheel) as archive:
            expect_none(wheel, wheel_faults(archive.namelist()))
        return Path(wheel.replace(out / wheel.name))


def try_wheel(python: str, wheel: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        call([python, "-m", "venv", scratch])
        programs = Path(scratch, "Scripts" if os.name == "nt" else "bin")
        inside = programs / ("python.exe" if os.name == "nt" else "python")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        environment |= NO_COMPILER | {"PATH": str(programs)}
        call([inside, "-m", "pip", "install", "--no-index", "--no-deps", wheel], env=environment, cwd=scratch)
        call([inside, ROOT / "tools" / "smoke.py"], env=environment, cwd=scratch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where they go (default: dist)")
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    args = parser.parse_args()
    finder = [str(ROOT / "tools" / "find-python.sh"), "--all"]
    # absolute, as they are run from elsewhere; not resolved, or an environment's Python would be its parent's
    pythons = [os.path.abspath(python) for python in args.pythons] or subprocess.run(
        finder, capture_output=True, text=True, check=True
    ).stdout.split()
    args.out.mkdir(parents=True, exist_ok=True)
    sdist = build_sdist(args.out)
    print(f"{sdist.name}: as it should be", flush=True)
    for python in pythons:
        wheel = build_wheel(python, sdist, args.out)
        try_wheel(python, wheel)
        print(f"{wheel.name}: built from the sdist, installed and tried without a compiler", flush=True)


if __name__ == "__main__":
    main()
