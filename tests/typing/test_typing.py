"""mypy --strict and pyright accept what must be accepted, also the examples, and find each error that is marked.

A line that must be refused says ``# error: CODE``, with mypy's code; of pyright's errors only the lines are compared.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MARK = re.compile(r"# error: ([\w-]+)$")
MYPY_ERROR = re.compile(r"(\S+\.py):(\d+): error: .*\[([\w-]+)\]")

Found = set[tuple[str, int, str]]  # file, line, code

pytestmark = pytest.mark.timeout(180)


def marked(path: Path, code: Callable[[str], str]) -> Found:
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    return {(path.name, number, code(mark[1])) for number, line in lines if (mark := MARK.search(line))}


def by_mypy(files: list[Path]) -> Found:
    if find_spec("mypy") is None:
        pytest.skip("mypy is not installed (extra: lint)")
    src = {"MYPYPATH": str(ROOT / "src")} if (ROOT / "src").is_dir() else {}
    config = ["--config-file=", "--strict", "--python-version=3.11", "--explicit-package-bases"]
    libraries = ["--disable-error-code=import-untyped", "--disable-error-code=import-not-found"]
    command = [sys.executable, "-m", "mypy", *config, *libraries, "--no-pretty", *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **src}, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    found = {(Path(m[1]).name, int(m[2]), m[3]) for line in errors if (m := MYPY_ERROR.match(line))}
    assert bool(found) == bool(errors), done.stdout
    return found


def by_pyright(files: list[Path], folder: Path) -> Found:
    if find_spec("pyright") is None:
        pytest.skip("pyright is not installed (extra: lint)")
    try:
        subprocess.run([sys.executable, "-m", "pyright", "--version"], capture_output=True, check=True, timeout=90)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip("pyright is not to be had: at its first run it fetches its JavaScript by npm")
    settings = {
        "include": [os.path.relpath(file, folder) for file in files],
        "extraPaths": [str(ROOT / "src")],
        "pythonVersion": "3.11",
        "reportMissingImports": False,
        "reportMissingModuleSource": False,
    }
    project = folder / "pyrightconfig.json"
    project.write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "--project", project]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] == len(files), told
    errors = [one for one in told["generalDiagnostics"] if one["severity"] == "error"]
    return {(Path(one["file"]).name, one["range"]["start"]["line"] + 1, "") for one in errors}


@pytest.mark.parametrize("files", [[HERE / "accepted.py"], EXAMPLES], ids=["accepted", "examples"])
def test_what_is_right_is_accepted(files: list[Path], tmp_path: Path) -> None:
    assert by_mypy(files) == set()
    assert by_pyright(files, tmp_path) == set()


def test_each_error_is_found_and_no_other() -> None:
    refused = HERE / "refused.py"
    assert by_mypy([refused]) == marked(refused, str)


def test_pyright_finds_them_too(tmp_path: Path) -> None:
    refused = HERE / "refused.py"
    assert by_pyright([refused], tmp_path) == marked(refused, lambda _: "")


def test_the_options_are_those_of_a_pool() -> None:
    import fastpool
    from fastpool._config import RESIZABLE, Config
    from fastpool._light.record import fields
    from fastpool._options import PoolSizes

    assert fastpool.PoolOptions.__annotations__.keys() == {field.name for field in fields(Config)}
    assert PoolSizes.__annotations__.keys() == set(RESIZABLE)
    assert not fastpool.PoolOptions.__required_keys__


def test_they_take_a_parameter_at_run_time() -> None:
    import fastpool

    for kind in (fastpool.Pool, fastpool.AsyncPool, fastpool.Lease, fastpool.AsyncLease, fastpool.Driver):
        assert kind[int].__origin__ is kind  # type: ignore[attr-defined]
        assert kind[int].__args__ == (int,)  # type: ignore[attr-defined]

    class Own(fastpool.Pool[bytes]):
        pass

    with Own(lambda: b"c", close=str) as pool, pool.connection() as c:
        assert c == b"c"
    assert isinstance(pool, fastpool.Pool) and isinstance(pool.connection(), fastpool.Lease)
