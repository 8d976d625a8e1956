"""The core and the codec on other systems: compiled without a warning, and run under an emulator (`make test-cross`).

QEMU and Wine run what a processor or a system of that kind would run; QEMU does not reorder memory accesses as a weakly
ordered processor may. The orders themselves are checked in tests/model/test_memory_order.py.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TypeVar

import pytest

from tests.process._scripts import ROOT

pytestmark = [
    pytest.mark.cross,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not (ROOT / "tools").is_dir(), reason="the tests run without the checkout around them"),
]
cross = pytest.importorskip("tools.cross", reason="the tests run without the checkout around them")
T = TypeVar("T")
SMOKE = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
import smoke, fastpool
smoke.try_threads(fastpool)
asyncio.run(smoke.try_tasks(fastpool))
from fastpool._core import built_with
from fastpool.adapters._thrift.codec import codec
assert list(codec.rows_made([1, 2])) == [1, 2]
print("well,", sys.platform, built_with()["bits"])
"""
SHAPES = [(2, 1), (3, 2), (8, 4)]  # threads, connections at most


@pytest.mark.parametrize("source", cross.MODULES, ids=lambda source: source.stem)
@pytest.mark.parametrize("name", cross.TARGETS)
def test_it_compiles_without_a_warning(name: str, source: Path) -> None:
    try:
        made = cross.module_of(name, source)
    except cross.Lacking as lacking:
        pytest.skip(f"there is no {lacking}")
    assert made.stat().st_size > 100_000


def test_a_warning_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "warned.c"
    source.write_text("int f(void) { int unused; return 0; }\n")
    target = cross.TARGETS["linux-aarch64"]
    try:
        command = cross.compiler(target)
    except cross.Lacking as lacking:
        pytest.skip(f"there is no {lacking}")
    with pytest.raises(RuntimeError, match="unused"):
        cross.run([*command, *cross.STRICT, "-c", source, "-o", tmp_path / "warned.o"])


@pytest.mark.parametrize("name", cross.TARGETS)
def test_which_systems_share_a_cap_over_processes(name: str, tmp_path: Path) -> None:
    system = cross.TARGETS[name].system.split("-")[0]
    sleep = {"linux": "FP_SLEEP_FUTEX", "macosx": "FP_SLEEP_OS_SYNC", "windows": "FP_SLEEP_EVENT"}[system]
    source = tmp_path / "shares.c"
    source.write_text(
        '#include <Python.h>\n#include "page.h"\n#include "futex.h"\n'
        f'_Static_assert(FP_SHARES && FP_SLEEP == {sleep}, "shares");\n'
    )
    try:
        command = [*cross.compiler(cross.TARGETS[name]), *cross.includes(cross.TARGETS[name])]
    except cross.Lacking as lacking:
        pytest.skip(f"there is no {lacking}")
    cross.run([*command, "-std=gnu11", "-Wno-unused-function", "-c", source, "-o", tmp_path / "shares.o"])


def test_processes_share_a_cap_on_windows(tmp_path: Path) -> None:
    name = "windows-x86_64"
    arguments = ["-m", "pytest", "-p", "no:cacheprovider", "--color=no", "--timeout=120", "tests/shared"]
    try:
        package = cross.package_of(name, tmp_path / "package")
        command, more = cross.emulated(name, *arguments, paths=[package, cross.test_packages_of(name)])
    except cross.Lacking as lacking:
        pytest.skip(f"there is no {lacking}")
    environment = {**os.environ, **more, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1500, check=False,
        env=environment, cwd=ROOT,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"shared\\{file}" in done.stdout for file in ("test_one_cap", "test_page_windows", "test_storm"))


@pytest.mark.parametrize(("name", "system"), [("linux-aarch64", "linux"), ("windows-x86_64", "win32")])
def test_threads_and_tasks_on_another_system(name: str, system: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(SMOKE)
    try:
        package = cross.package_of(name, tmp_path / "package")
        tools = f"{'Z:' if system == 'win32' else ''}{ROOT / 'tools'}"
        command, more = cross.emulated(name, str(program), tools, paths=[package])
    except cross.Lacking as lacking:
        pytest.skip(f"there is no {lacking}")
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=500, check=False, env={**os.environ, **more}, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith(f"well, {system} 64")


@pytest.mark.parametrize("shape", SHAPES)
def test_the_native_stress_on_aarch64(shape: tuple[int, int]) -> None:
    try:
        command = cross.stress_of("linux-aarch64")
    except cross.Lacking as lacking:
        pytest.skip(f"there is no {lacking}")
    rounds, seed, hot, patience = 60, 7, 50, 400
    done = subprocess.run(
        [*command, *map(str, (*shape, rounds, seed, hot, patience))],
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {name: int(value) for name, _, value in (pair.partition("=") for pair in done.stdout.split())}
    assert counts["checkouts"] > 1000
