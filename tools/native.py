"""Builds native code that only tests use, when it is missing or older than what it is made of.

    native.py NAME SOURCE…            extension modules, from .pyx files
    native.py --program KIND SOURCE   a program without Python from a .pyx whose `program_main` is its main;
                                      KIND is plain, thread (ThreadSanitizer) or address (AddressSanitizer and UBSan);
                                      its threads yield now and then before an atomic access (tests/core/pause.h)
           --src DIR                  made with the parts in DIR instead of src: a copy with a fault, to see it found

Prints where it is: under .cache/native, in a folder named by a hash of all that goes into it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
CACHE = ROOT / ".cache" / "native"
PAUSE = ROOT / "tests" / "core" / "pause.h"
SUFFIXES = {".pxd", ".pxi", ".h"}
KINDS = {
    "plain": ["-O2"],
    "thread": ["-O1", "-g", "-fsanitize=thread"],
    "address": ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
}


def fingerprint(source: Path, *more: str, src: Path = SRC) -> str:
    """A hash of everything that `source` is built from and with."""
    inputs = {source, PAUSE, ROOT / "setup.py", Path(__file__)}
    for folder in (src / "fastpool" / "_core", src / "fastpool" / "_core" / "c", source.parent):
        inputs.update(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    return hash_of(inputs, *more)


def hash_of(inputs: Iterable[Path], *more: str) -> str:
    """A hash of these files, of the compiler and its settings, and of the other arguments."""
    parts = [version("Cython"), sys.version, sysconfig.get_config_var("EXT_SUFFIX") or "", *more]
    digest = hashlib.sha256("\0".join(parts).encode())
    for path in sorted(inputs):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def in_cache(key: str, make: Callable[[Path], Path]) -> Path:
    """The file that `make` made in the folder for `key`, now or earlier; several processes may run it at once."""
    home = CACHE / key
    if not home.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            made = Path(work) / "made"
            made.mkdir()
            file = make(Path(work))
            shutil.move(file, made / file.name)
            try:
                made.rename(home)
            except OSError:  # another process was faster
                if not home.is_dir():
                    raise
    (file,) = home.iterdir()
    return file


def extension(name: str, source: Path) -> Path:
    """The path of the extension module `name`, built from a .pyx file as fastpool's own core is."""

    def make(work: Path) -> Path:
        # import_module, because only some environments have type stubs for these
        cythonize = import_module("Cython.Build").cythonize
        distribution = import_module("setuptools").Distribution
        build_ext = import_module("setuptools.command.build_ext").build_ext
        recipe = runpy.run_path(str(ROOT / "setup.py"), run_name="recipe")
        ext = recipe["extension"](name, str(source.relative_to(ROOT)))
        modules = cythonize(
            [ext], build_dir=str(work / "c"), include_path=["src"], compiler_directives=recipe["DIRECTIVES"]
        )
        build = build_ext(distribution({"name": name, "ext_modules": modules}))
        build.build_lib, build.build_temp = str(work / "lib"), str(work / "o")
        build.ensure_finalized()
        build.run()
        (file,) = (work / "lib").glob(f"{name}.*")
        return file

    return in_cache(f"{name}-{fingerprint(source)}", make)


def translation(source: Path, src: Path) -> Path:
    """The path of the C file that a .pyx file becomes; it serves each kind of program."""

    def make(work: Path) -> Path:
        c = work / f"{source.stem}.c"
        recipe = runpy.run_path(str(ROOT / "setup.py"), run_name="recipe")
        options = [f"-X{key}={value}" for key, value in recipe["DIRECTIVES"].items()]
        command = [sys.executable, "-m", "cython", "-3", *options, "-I", str(src), "-o", str(c), str(source)]
        subprocess.run(command, cwd=ROOT, check=True)
        return c

    return in_cache(f"{source.stem}-c-{fingerprint(source, src=src)}", make)


def program(kind: str, source: Path, src: Path = SRC) -> Path:
    """The path of a program made of a .pyx file whose `program_main` needs no Python: it does not start an
    interpreter."""
    flags = [*KINDS[kind], *shlex.split(os.environ.get("NATIVE_CFLAGS", ""))]
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")

    def make(work: Path) -> Path:
        library = Path(str(sysconfig.get_config_var("LIBDIR")))
        series = sysconfig.get_config_var("LDVERSION")
        file = work / source.stem
        command = [*compiler, *flags, "-std=gnu11", "-Dprogram_main=main", "-include", str(PAUSE), "-pthread"]
        command += [str(translation(source, src)), "-o", str(file)]
        command += ["-I", str(src / "fastpool/_core/c"), "-I", str(sysconfig.get_path("include"))]
        command += [f"-L{library}", f"-Wl,-rpath,{library}", f"-lpython{series}", "-lm"]
        subprocess.run(command, check=True)
        return file

    return in_cache(f"{source.stem}-{kind}-{fingerprint(source, *compiler, *flags, src=src)}", make)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", choices=sorted(KINDS))
    parser.add_argument("--src", type=Path, default=SRC)
    parser.add_argument("sources", nargs="+", type=Path)
    given = parser.parse_args(arguments)
    src = given.src.resolve()
    os.chdir(ROOT)
    for source in given.sources:
        path = source.resolve()
        print(program(given.program, path, src) if given.program else extension(path.stem, path))


if __name__ == "__main__":
    main()
