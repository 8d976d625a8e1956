"""Compiles the core and the codec for systems that this machine is not, with warnings as errors, and runs them there.

    python -m tools.cross [TARGET …]        compile (default: all); prints one line for each

The headers and libraries are those of a real CPython 3.14 of each system, which Maven has as org.bytedeco:cpython; the
compilers are zig's (PyPI), mingw's gcc, and clang in its MSVC mode with Wine's headers of Windows. What this machine
lacks is said. tests/process/test_cross.py runs the extension modules and the native stress under QEMU and Wine.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tools.native import CACHE, ROOT, fingerprint, translation
from tools.wheels import GLIBC, zig

PACKAGE = ROOT / "src" / "fastpool"
CORE = PACKAGE / "_core" / "core.pyx"
CODEC = PACKAGE / "adapters" / "_thrift" / "codec" / "codec.pyx"
MODULES = (CORE, CODEC)
PARTS = ROOT / "src" / "fastpool" / "_core" / "c"
PYTHONS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastpool" / "pythons-of-others"
ARTIFACT = "org.bytedeco:cpython:3.14.3-1.5.13:jar"
STRICT = ["-O2", "-g0", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-fno-strict-aliasing"]
# what Cython itself leaves behind where its own attributes for it are not understood (MSVC)
OF_CYTHON = ["-Wno-unused-but-set-variable", "-Wno-unused-function"]
WINE = Path("/usr/include/wine/wine")
TEST_PACKAGES = ("pytest", "pytest-timeout", "hypothesis", "click", "rich", "textual", "colorama")


class Lacking(Exception):
    """This machine lacks something that a target needs; the message says what."""


class Target(NamedTuple):
    """One way to compile the core: for a system, by a compiler."""

    system: str  # as Maven's classifier says it: the Python whose headers are used
    compiler: str  # zig, mingw or clang
    triple: str  # as the compiler says it
    flags: tuple[str, ...] = ()
    links: bool = True  # into an extension module; else it is only compiled


TARGETS = {
    "linux-x86_64": Target("linux-x86_64", "zig", f"x86_64-linux-gnu.{GLIBC}"),
    "linux-aarch64": Target("linux-arm64", "zig", f"aarch64-linux-gnu.{GLIBC}"),
    "musl-x86_64": Target("linux-x86_64", "zig", "x86_64-linux-musl"),
    "musl-aarch64": Target("linux-arm64", "zig", "aarch64-linux-musl"),
    "macos-x86_64": Target("macosx-x86_64", "zig", "x86_64-macos"),
    "macos-arm64": Target("macosx-arm64", "zig", "aarch64-macos"),
    "windows-x86_64": Target("windows-x86_64", "zig", "x86_64-windows-gnu"),
    "windows-arm64": Target("windows-x86_64", "zig", "aarch64-windows-gnu", links=False),  # no library for it
    "windows-mingw": Target("windows-x86_64", "mingw", "x86_64-w64-mingw32"),
    "windows-msvc": Target("windows-x86_64", "clang", "x86_64-pc-windows-msvc", links=False),
    # without clang's name for itself: so the branches of the headers that are MSVC's own are compiled
    "windows-msvc-only": Target("windows-x86_64", "clang", "x86_64-pc-windows-msvc", ("-U__clang__",), links=False),
    "windows-msvc-arm64": Target("windows-x86_64", "clang", "aarch64-pc-windows-msvc", ("-U__clang__",), links=False),
}


@functools.cache
def python_of(system: str) -> Path:
    """The folder of a CPython for another system, brought from Maven the first time. Lacking: there is no Maven."""
    home = PYTHONS / system
    if home.is_dir():
        return home
    maven = shutil.which("mvn")
    if maven is None:
        raise Lacking("Maven (mvn), to bring a CPython for another system")
    PYTHONS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PYTHONS) as work:
        wanted = f"-Dartifact={ARTIFACT}:{system}"
        for goal in (["get", "-Dtransitive=false", wanted], ["copy", wanted, f"-DoutputDirectory={work}"]):
            done = subprocess.run(
                [maven, "--batch-mode", "--quiet", f"dependency:{goal[0]}", *goal[1:]],
                capture_output=True, text=True, timeout=400, check=False,
            )  # fmt: skip
            if done.returncode:
                raise Lacking(f"{ARTIFACT}:{system}, which Maven did not bring: {done.stdout[-300:]}")
        (jar,) = Path(work).glob("*.jar")
        shutil.unpack_archive(jar, Path(work, "jar"), "zip")
        found = Path(work, "jar", "org", "bytedeco", "cpython", system)
        for program in [*found.glob("python3.*"), *found.glob("bin/*")]:
            program.chmod(0o755)
        if not home.is_dir():
            found.rename(home)
    return home


def includes(target: Target) -> list[str]:
    """The options that name the folders of headers."""
    top = python_of(target.system) / "include"
    return ["-I", str(PARTS), "-I", str(top if target.system.startswith("windows") else top / "python3.14")]


def compiler(target: Target) -> list[str]:
    """The compiler and the options that make it compile for the target."""
    if target.compiler == "zig":
        program = zig()
        if program is None:
            raise Lacking("zig (pip install ziglang)")
        return [str(program), "cc", "-target", target.triple, "-fno-sanitize=undefined", *target.flags]
    if target.compiler == "mingw":
        if shutil.which(f"{target.triple}-gcc") is None:
            raise Lacking(f"{target.triple}-gcc (apt install gcc-mingw-w64-x86-64)")
        return [f"{target.triple}-gcc", "-static-libgcc"]
    clang = shutil.which("clang")
    if clang is None:
        raise Lacking("clang")
    if not WINE.joinpath("windows", "windows.h").exists():
        raise Lacking("headers of Windows (apt install libwine-dev)")
    behind = [word for folder in ("msvcrt", "windows") for word in ("-idirafter", str(WINE / folder))]
    mode = [f"--target={target.triple}", "-fms-compatibility-version=19.40", "-nostdlibinc", *behind]
    return [clang, *mode, *target.flags]


def suffix(target: Target) -> str:
    if target.system.startswith("windows"):
        return ".cp314-win_amd64.pyd"
    of_linux = f"{target.triple.split('-')[0]}-linux-{'musl' if 'musl' in target.triple else 'gnu'}"
    return f".cpython-314-{'darwin' if target.system.startswith('macosx') else of_linux}.so"


def link_options(target: Target) -> list[str]:
    if target.system.startswith("windows"):
        return ["-shared", "-s", str(python_of(target.system) / "libs" / "python314.lib"), "-lws2_32"]
    if target.system.startswith("macosx"):
        return ["-shared", "-undefined", "dynamic_lookup"]
    return ["-shared", "-s"]


def run(command: Sequence[object]) -> None:
    """Run a compiler; RuntimeError with what it said if it failed, and also if it only warned."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=1500, check=False
    )  # zig builds C libraries
    if done.returncode or "warning" in done.stderr:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def module_of(name: str, source: Path) -> Path:
    """One of MODULES compiled for a target: an extension module, or an object file where it cannot be linked.

    Lacking: a tool is missing. RuntimeError: there was a warning or an error.
    """
    target = TARGETS[name]
    home = CACHE / "cross" / f"{name}-{fingerprint(source, *STRICT, *map(str, target))}"
    made = home / (f"{source.stem}{suffix(target)}" if target.links else f"{source.stem}.o")
    if made.exists():
        return made
    # after -Wall, which turns them on again in some versions of clang
    strict = [*STRICT, *(OF_CYTHON if target.compiler == "clang" else ())]
    command = [*compiler(target), *includes(target), "-I", str(source.parent), "-std=gnu11", *strict]
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as work:
        pic = [] if target.system.startswith("windows") else ["-fPIC"]
        run([*command, *pic, "-c", translation(source, ROOT / "src"), "-o", f"{work}/module.o"])
        if target.links:
            run([*compiler(target), f"{work}/module.o", *link_options(target), "-o", f"{work}/{made.name}"])
        Path(work, made.name if target.links else "module.o").replace(made)
    return made


def package_of(name: str, to: Path) -> Path:
    """A copy of fastpool in the folder `to`, with its modules compiled for a target."""
    nothing_compiled = shutil.ignore_patterns("*.so", "*.c", "*.html", "__pycache__")
    shutil.copytree(PACKAGE, to / "fastpool", ignore=nothing_compiled)
    for source in MODULES:
        shutil.copy(module_of(name, source), to / "fastpool" / source.parent.relative_to(PACKAGE))
    return to


def test_packages_of(name: str) -> Path:
    """A folder with pytest and what else the tests of shared names import, for a target on Windows. Lacking."""
    target = TARGETS[name]
    home = PYTHONS / f"{target.system}-{fingerprint(ROOT / 'pyproject.toml', *TEST_PACKAGES)}"
    if not home.is_dir():
        with tempfile.TemporaryDirectory(dir=PYTHONS) as work:
            options = ["--quiet", "--platform", "win_amd64", "--python-version", "3.14", "--only-binary", ":all:"]
            done = subprocess.run(
                [sys.executable, "-m", "pip", "install", *options, "--target", f"{work}/packages", *TEST_PACKAGES],
                capture_output=True, text=True, timeout=400, check=False,
            )  # fmt: skip
            if done.returncode:
                raise Lacking(f"{', '.join(TEST_PACKAGES)}, which pip did not bring: {done.stderr[-300:]}")
            # Python asks Windows for its version by WMI, which Wine does not have whole; it does without.
            Path(work, "packages", "sitecustomize.py").write_text('import sys\n\nsys.modules["_wmi"] = None\n')
            if not home.is_dir():
                Path(work, "packages").rename(home)
    return home


def emulated(name: str, *arguments: str, paths: Sequence[Path]) -> tuple[list[str], dict[str, str]]:
    """The command that runs the target's Python with these arguments, and the environment for it.

    `paths` are the folders of its modules. Lacking: there is no emulator.
    """
    target = TARGETS[name]
    home = python_of(target.system)
    if target.system.startswith("windows"):
        wine = next(filter(None, map(shutil.which, ("wine64", "/usr/lib/wine/wine64", "wine"))), None)
        if wine is None:
            raise Lacking("Wine (apt install wine64)")
        path = ";".join(f"Z:{folder}" for folder in paths)
        drive = {"PYTHONPATH": path, "WINEDEBUG": "-all", "WINEPREFIX": str(PYTHONS / "wine")}
        return [wine, str(home / "python.exe"), *arguments], drive
    path = ":".join(map(str, paths))
    return [*qemu(target), "-E", f"PYTHONPATH={path}", str(home / "bin" / "python3.14"), *arguments], {}


def qemu(target: Target) -> list[str]:
    """The command that runs a program of the target that uses its Python's library."""
    machine = target.triple.split("-")[0]
    libraries = python_of(target.system)
    if machine == platform.machine() and sys.platform == "linux":
        return ["env", f"LD_LIBRARY_PATH={libraries}"]
    emulator, system = shutil.which(f"qemu-{machine}"), Path(f"/usr/{machine}-linux-gnu")
    if emulator is None or not system.joinpath("lib").is_dir():
        raise Lacking(f"qemu-{machine} and its C library (apt install qemu-user libc6-arm64-cross)")
    return [emulator, "-L", str(system), "-E", f"LD_LIBRARY_PATH={libraries}"]


def stress_of(name: str) -> list[str]:
    """The command that runs the native stress of tests/_stress.pyx, compiled for a Linux target."""
    target, source = TARGETS[name], ROOT / "tests" / "_stress.pyx"
    pause = ROOT / "tests" / "core" / "pause.h"
    made = CACHE / "cross" / f"{name}-stress-{fingerprint(source, *map(str, target))}" / "stress"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        command = [*compiler(target), *includes(target), "-O2", "-g0", "-std=gnu11", "-Dprogram_main=main"]
        command.append("-Wno-macro-redefined")  # pause.h includes the system's headers before Python's
        library = python_of(target.system) / "libpython3.14.so.1.0"
        command += ["-include", str(pause), "-pthread", str(translation(source, ROOT / "src")), str(library), "-lm"]
        with tempfile.TemporaryDirectory(dir=made.parent) as work:
            run([*command, "-Wl,--allow-shlib-undefined", "-o", f"{work}/stress"])
            Path(work, "stress").replace(made)
    return [*qemu(target), str(made)]


def main(names: Sequence[str]) -> None:
    failed = [name for name in names if name not in TARGETS]
    if failed:
        sys.exit(f"no such target: {', '.join(failed)}; there are {', '.join(TARGETS)}")
    for name in names or TARGETS:
        try:
            made = [module_of(name, source) for source in MODULES]
        except Lacking as lacking:
            print(f"{name}: not tried, there is no {lacking}", flush=True)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            failed.append(name)
        else:
            sizes = ", ".join(f"{one.name} of {one.stat().st_size // 1024} KiB" for one in made)
            print(f"{name}: {sizes}, without a warning", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
