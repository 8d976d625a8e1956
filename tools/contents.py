"""Print the faults in the contents of an sdist or a wheel, given the paths inside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

SRC = Path(__file__).resolve().parent.parent / "src"
GENERATED = {".c", ".so", ".pyd", ".pyc", ".o", ".html"}
EXTENSION = (".so", ".pyd")
COMPILED = ("fastpool/_core/core.", "fastpool/adapters/_thrift/codec/codec.")
SOURCES = {".pyx", ".pxi", ".pxd", ".h"}
SHIPPED = {".py", ".pyi", ".thrift", ".typed"}
MOST_BYTES = 1024 * 1024  # of a wheel
CIMPORTED = {"fastpool/__init__.pxd", "fastpool/_core/core.pxd"}  # docs/c-interface.md


def sources(suffixes: Iterable[str]) -> set[str]:
    """The files under src/ with these suffixes, as paths in a wheel."""
    wanted = set(suffixes)
    return {path.relative_to(SRC).as_posix() for path in SRC.joinpath("fastpool").rglob("*") if path.suffix in wanted}


def sdist_faults(paths: Iterable[str]) -> list[str]:
    """The faults of an sdist, from which fastpool is built, tested and measured: all of src, no generated C."""
    names = {PurePosixPath(path).relative_to(PurePosixPath(path).parts[0]).as_posix() for path in paths}
    faults = [f"missing: src/{name}" for name in sources(SOURCES | SHIPPED) if f"src/{name}" not in names]
    needed = ("LICENSE", "README.md", "CHANGES.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml", "setup.py")
    faults += [f"missing: {name}" for name in needed if name not in names]
    for folder in ("tests", "bench", "tools", "docs"):
        if not any(name.startswith(f"{folder}/") for name in names):
            faults.append(f"missing: everything under {folder}/")
    faults += [f"generated: {name}" for name in names if PurePosixPath(name).suffix in GENERATED]
    return sorted(faults)


def wheel_faults(paths: Iterable[str] | Mapping[str, int], size: int = 0) -> list[str]:
    """The faults of a wheel of `size` bytes: it has Python, stubs, the compiled modules and metadata; no C, no tests.

    Where the sizes of its files are given, the license must be among them.
    """
    names = set(paths)
    faults = [f"missing: {name}" for name in sources(SHIPPED) | CIMPORTED if name not in names]
    compiled = sorted(name for name in names if name.endswith(EXTENSION))
    if len(compiled) != len(COMPILED) or not all(map(str.startswith, compiled, COMPILED)):
        faults.append(f"exactly {' and '.join(COMPILED)} should be compiled, not {compiled}")
    for name in names:
        path = PurePosixPath(name)
        if path.parts[0] != "fastpool" and not path.parts[0].endswith(".dist-info"):
            faults.append(f"outside the package: {name}")
        elif path.parts[0] == "fastpool" and name not in CIMPORTED and path.suffix not in SHIPPED | set(EXTENSION):
            faults.append(f"does not belong in a wheel: {name}")
    if size > MOST_BYTES:
        faults.append(f"too big: {size} bytes, {MOST_BYTES} at most; is the extension stripped?")
    if isinstance(paths, Mapping):
        license_there = any(name.endswith(".dist-info/licenses/LICENSE") and n for name, n in paths.items())
        faults += [] if license_there else ["missing: the license"]
    return sorted(faults)


def relative_addresses(markdown: str) -> list[str]:
    """The addresses in a text that lead nowhere without the files beside it."""
    return re.findall(r'(?:\]\(|(?:src|srcset|href)=")((?!https?:|#)[^)"]+)', markdown)
