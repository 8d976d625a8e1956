"""The contents of an sdist and a wheel. tools/wheels.py builds real wheels and tries them; this is the quick part."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tools.contents import COMPILED, MOST_BYTES, relative_addresses, sdist_faults, sources, wheel_faults
from tools.sdist import EARLIEST, VARIABLE, pin_the_time, same_always

ROOT = Path(__file__).resolve().parent.parent.parent
LEAVE = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "*.so", "__pycache__")
SDIST = "from setuptools import build_meta; build_meta.build_sdist('dist')"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout to build in, because building writes beside the sources."""
    if not ROOT.joinpath("MANIFEST.in").exists():
        pytest.skip("the tests run without the checkout around them: nothing to build an sdist from")
    copy = tmp_path_factory.mktemp("checkout") / "fastpool"
    shutil.copytree(ROOT, copy, ignore=LEAVE)
    return copy


@pytest.mark.timeout(180)
def test_the_sdist_has_every_source_and_nothing_generated(tree: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SDIST], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (sdist,) = tree.joinpath("dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = [member.name for member in archive if member.isfile()]
        (metadata,) = (name for name in names if name.count("/") == 1 and name.endswith("/PKG-INFO"))
        shown = archive.extractfile(metadata)
        assert shown is not None
        description = shown.read().decode()
    assert sdist_faults(names) == []
    assert "](https://github.com/fastpool/fastpool/blob/main/docs/tutorial.md)" in description
    assert "/raw/main/docs/figures/demo.svg)" in description
    assert relative_addresses(description) == [], "an index of packages has no files beside the README"


@pytest.mark.timeout(180)
def test_what_goes_into_a_wheel_beside_the_extension(tree: Path, tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(tmp_path)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert wheel_faults(built | {f"{name}cpython-313-x86_64-linux-gnu.so" for name in COMPILED}) == []


def test_native_code_needs_no_more_than_the_wheel_has(tree: Path, tmp_path: Path) -> None:
    """The module of docs/c-interface.md, translated with the contents of a wheel and nothing else."""
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(tmp_path / "wheel")]
    subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
    (module,) = re.findall(r"```cython\n(.*?)```", (ROOT / "docs" / "c-interface.md").read_text(), re.DOTALL)
    (tmp_path / "asking.pyx").write_text(module)
    # isolated, with Cython alone: an editable install beside it would provide the parts that a wheel lacks
    cython = "import os, sys; sys.path[:0] = sys.argv.pop(1).split(os.pathsep); "
    cython += "from Cython.Compiler.Main import main; main(1)"
    parts = [path for path in sys.path if Path(path, "Cython").is_dir()]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", cython, os.pathsep.join(parts), "-Werror", "-I", "wheel", "asking.pyx"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "native_checkout" in (tmp_path / "asking.c").read_text()


def test_the_checks_notice_what_they_are_there_for() -> None:
    python = sources({".py", ".pyi", ".thrift", ".typed"}) | {"fastpool/__init__.pxd", "fastpool/_core/core.pxd"}
    good = python | {f"{name}abi.so" for name in COMPILED} | {"fastpool-1.dist-info/METADATA"}
    assert wheel_faults(good) == []
    assert wheel_faults(good | {"fastpool/_core/core.pyx"}) == ["does not belong in a wheel: fastpool/_core/core.pyx"]
    assert wheel_faults(good | {"tests/test_x.py"}) == ["outside the package: tests/test_x.py"]
    assert wheel_faults(good - {"fastpool/py.typed"}) == ["missing: fastpool/py.typed"]
    assert wheel_faults(good - {"fastpool/__init__.pxd"}) == ["missing: fastpool/__init__.pxd"]
    assert len(wheel_faults(good | {"_probe.so"})) == 2
    assert len(wheel_faults(good - {f"{COMPILED[1]}abi.so"})) == 1
    assert wheel_faults(good, MOST_BYTES) == []
    assert "too big" in wheel_faults(good, MOST_BYTES + 1)[0]
    sizes = dict.fromkeys(good | {"fastpool-1.dist-info/licenses/LICENSE"}, 1)
    assert wheel_faults(sizes) == []
    assert wheel_faults(sizes | {"fastpool-1.dist-info/licenses/LICENSE": 0}) == ["missing: the license"]
    assert relative_addresses('[a](b.md), [c](https://d/e.md), <img src="f.svg">') == ["b.md", "f.svg"]
    assert "missing: everything under tests/" in sdist_faults(["fastpool-1/setup.py"])
    assert "generated: src/fastpool/_core/core.c" in sdist_faults(["fastpool-1/src/fastpool/_core/core.c"])


def test_an_sdist_does_not_depend_on_when_where_and_by_whom_it_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "1700000000")
    made = []
    for turn in (0, 1):
        names = ["fastpool-1/b.py", "fastpool-1/a.sh"]
        with tarfile.open(tmp_path / f"{turn}.tar.gz", "w:gz") as archive:
            for name in reversed(names) if turn else names:
                member = tarfile.TarInfo(name)
                member.size, member.mtime, member.uid, member.uname = 3, 10 + turn, turn, f"user{turn}"
                member.mode = (0o700 if name.endswith(".sh") else 0o600) | (0o044 if turn else 0)
                archive.addfile(member, io.BytesIO(name[-5:-2].encode()))
        made.append(same_always(tmp_path / f"{turn}.tar.gz", tmp_path / f"made{turn}.tar.gz").read_bytes())
    assert made[0] == made[1]
    with tarfile.open(tmp_path / "made0.tar.gz") as archive:
        assert [(one.name, oct(one.mode), one.mtime) for one in archive] == [
            ("fastpool-1/a.sh", "0o755", 1700000000),
            ("fastpool-1/b.py", "0o644", 1700000000),
        ]
        file = archive.extractfile("fastpool-1/a.sh")
        assert file is not None and file.read() == b"/a."


def test_the_time_of_a_build_is_that_of_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert pin_the_time(tmp_path) == EARLIEST, "there is no git"
    monkeypatch.setenv(VARIABLE, "1700000000")
    assert pin_the_time(tmp_path) == 1700000000
