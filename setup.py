"""Describes the compiled modules, and the README as an index of packages shows it; other metadata is in pyproject.toml.

FASTPOOL_ANNOTATE=1 writes src/fastpool/_core/core.html, where a yellow line is a line that touches Python.
"""

import os
import re
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCE = "https://github.com/fastpool/fastpool"
HEADERS = sorted(str(p) for p in Path("src/fastpool").glob("**/c/*.h"))
if sys.platform == "win32":
    CFLAGS = ["/O2"]
    LIBRARIES = ["ws2_32"]  # the probe asks a socket by WSAPoll and recv
else:
    CFLAGS = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fno-strict-aliasing"]
    LIBRARIES = []

DIRECTIVES = {
    "language_level": 3,
    "freethreading_compatible": True,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "always_allow_keywords": False,
    "auto_pickle": False,
    "autotestdict": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
}


def extension(name: str, source: str) -> Extension:
    return Extension(
        name,
        [source],
        include_dirs=["src/fastpool/_core/c"],
        depends=HEADERS,
        extra_compile_args=CFLAGS,
        libraries=LIBRARIES,
    )


def for_an_index(readme: str) -> str:
    """The README with whole addresses: where an index of packages shows it, no files lie beside it."""
    inside = r"(?!https?:|#|mailto:)"
    readme = re.sub(rf'((?:\]\(|src="|srcset="){inside})([^)"]+\.svg)', rf"\g<1>{SOURCE}/raw/main/\2", readme)
    return re.sub(rf'((?:\]\(|href="){inside})([^)"]+)', rf"\g<1>{SOURCE}/blob/main/\2", readme)


if __name__ == "__main__":  # tools/native.py takes the recipe from here, and nothing else
    setup(
        long_description=for_an_index(Path("README.md").read_text("utf-8")),
        long_description_content_type="text/markdown",
        ext_modules=cythonize(
            [
                extension("fastpool._core.core", "src/fastpool/_core/core.pyx"),
                extension("fastpool.adapters._thrift.codec.codec", "src/fastpool/adapters/_thrift/codec/codec.pyx"),
            ],
            include_path=["src"],
            annotate=os.environ.get("FASTPOOL_ANNOTATE") == "1",
            compiler_directives=DIRECTIVES,
        ),
    )
