"""`fastpool doctor` says what a bug report needs, and nothing private."""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

import fastpool
from fastpool import _doctor
from fastpool._core import built_with, private_in_use, private_known

from ._scripts import run

WITHIN = 50
SECTIONS = [
    *("fastpool", "build of the core", "python", "platform", "libraries", "private interfaces", "limits"),
    *("pools of this process", "shared pools", "advice"),
]


def ask(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fastpool", "doctor", *arguments],
        capture_output=True, text=True, timeout=WITHIN, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


class Closing:
    def close(self) -> None:
        pass


def test_it_says_what_a_report_needs() -> None:
    found = json.loads(ask("--json"))
    assert list(found) == SECTIONS
    assert found["fastpool"]["version"] == fastpool.__version__
    assert found["python"]["version"] == platform.python_version()
    assert found["python"]["free-threaded build"] == bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert found["platform"]["machine"] == platform.machine()
    assert found["libraries"]["thriftpy2"].startswith(metadata.version("thriftpy2"))
    assert not {"pytest", "ruff", "mypy"} & set(found["libraries"]), "what only developers need"
    assert found["pools of this process"] == [] and found["advice"] == []


def test_the_text_has_what_the_data_has() -> None:
    lines = ask().splitlines()
    heads = [line.partition(":")[0] for line in lines if not line.startswith(" ")]
    assert heads == SECTIONS
    assert f"  version: {fastpool.__version__}" in lines


def test_the_core_knows_how_it_was_built() -> None:
    build = built_with()
    assert build["cython"] == metadata.version("Cython"), "it was built in this environment"
    assert build["python_headers"].rpartition(".")[0] == platform.python_version().rpartition(".")[0]
    assert build["compiler"].partition(" ")[0] in ("gcc", "clang", "msvc")
    assert build["optimized"] and not build["sanitizer"]
    assert build["bits"] == (64 if sys.maxsize > 2**32 else 32)


def test_every_private_interface_is_in_one_of_the_lists() -> None:
    told = _doctor.facts()["private interfaces"]
    assert sorted(name for names in told.values() for name in names) == sorted(private_known())
    assert set(told["in use"]) >= private_in_use() >= {"bare methods"}


def test_a_private_interface_that_is_turned_off_is_told() -> None:
    program = """
        from fastpool import _core
        _core.do_without("table of threads", "main thread")
        import json, fastpool
        from fastpool import _doctor
        found = _doctor.facts()
        print(json.dumps([found["private interfaces"], found["advice"]]))
    """
    told, advice = json.loads(run(program))
    assert told["turned off"] == ["main thread", "table of threads"]
    assert not set(told["turned off"]) & {*told["in use"], *told["not in use"]}
    assert len(advice) == 1 and "do_without" in advice[0]


def test_pools_are_shown_by_their_numbers() -> None:
    # Other tests' pools may still be there, of other sizes.
    with fastpool.Pool(Closing, max_size=1733, order="fifo", listeners=[{"connected": lambda event: None}]) as pool:
        with pool.connection(), pool.connection():
            (told,) = [
                one for one in _doctor.facts()["pools of this process"] if one["options"].get("max_size") == 1733
            ]
    assert told["kind"] == "Pool" and not told["closed"]
    assert told["now"] == {"size": 2, "idle": 0, "leased": 2, "connecting": 0, "waiting": 0}
    assert told["in all"] == {"checkouts": 2, "connects": 2}
    assert told["options"] == {"max_size": 1733, "order": "fifo", "listeners": "1 given"}
    assert "Pool" in fastpool.doctor()


SECRET = "Sesame-5417"
SECRET_PROGRAM = f"""
    import fastpool
    class {SECRET.replace("-", "")}Driver(fastpool.Driver):
        password = "{SECRET}"
        def connect(self, server, timeout):
            raise ConnectionError("no route to {SECRET}")
    class {SECRET.replace("-", "")}Pool(fastpool.Pool):
        pass
    pool = {SECRET.replace("-", "")}Pool(
        driver={SECRET.replace("-", "")}Driver(), name="{SECRET}", servers=["{SECRET}.example:9090"],
        listeners=[{{"connect_failed": lambda event: "{SECRET}"}}], balance=lambda servers, leased: servers[0],
    )
    try:
        pool.checkout(timeout=0.2)
    except Exception:
        pass
    print(fastpool.doctor())
"""


def test_no_secret_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTPOOL_TEST_PASSWORD", SECRET)
    monkeypatch.setenv("PYTHONUSERBASE", f"/nowhere/{SECRET}")
    told = run(SECRET_PROGRAM)
    assert SECRET not in told and SECRET.replace("-", "") not in told
    assert "a subclass of Pool" in told and "a subclass of Driver" in told
    assert "servers: 1 given" in told and "balance: given" in told and "connect_errors: " in told
    names = {platform.node(), os.environ.get("USER") or getpass.getuser(), str(Path.home()), sys.prefix, os.getcwd()}
    assert [name for name in names if len(name) > 4 and name in told] == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of descriptors to lower")
def test_too_few_descriptors_for_the_pools_are_told() -> None:
    program = """
        import resource
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
        import fastpool
        from fastpool import _doctor
        few = fastpool.Pool(object, max_size=40, max_overflow=20)
        print(_doctor.facts()["advice"])
        more = fastpool.Pool(object, max_size=40)
        print(_doctor.facts()["advice"])
        more.close()
        print(_doctor.facts()["advice"])
        endless = fastpool.Pool(object, max_overflow=-1)
        print(_doctor.facts()["advice"], _doctor.facts()["limits"]["descriptors"]["soft"])
    """
    enough, too_few, closed, endless = run(program).splitlines()
    assert enough == closed == "[]"
    assert "may open 100 connections, but this process may have 100 descriptors" in too_few
    assert "any number of connections" in endless and endless.endswith(" 100")


@pytest.mark.skipif(sys.platform != "linux", reason="counted in a folder that Linux has")
def test_open_descriptors_are_counted() -> None:
    program = """
        import os
        from fastpool._doctor.machine import descriptors_open
        before = descriptors_open()
        pipes = [os.pipe() for _ in range(3)]
        print(descriptors_open() - before)
    """
    assert run(program).strip() == "6"


def test_it_needs_nothing_beside_fastpool() -> None:
    program = """
        import sys
        sys.modules.update(dict.fromkeys(["click", "rich", "happybase", "thriftpy2"]))
        sys.argv = ["fastpool", "doctor"]
        from fastpool.__main__ import main
        main()
    """
    assert run(program).startswith("fastpool:\n  version: ")


def test_the_command_line_lists_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastpool", "--help"], capture_output=True, text=True, timeout=WITHIN, check=True
    )
    assert "doctor" in done.stdout
    assert "--json" in ask("--help")


def test_what_was_mixed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_doctor.software, "__version__", "0.0.1")
    (told,) = [one for one in _doctor.facts()["advice"] if "version" in one]
    assert "0.0.1" in told and metadata.version("fastpool") in told


def test_shared_pools_are_summed_and_their_names_are_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastpool._shared", reason="this version has no shared pools")
    folder = tmp_path / "pages"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(folder))
    program = f"""
        import json, fastpool
        from fastpool import _doctor
        class Closing:
            def close(self): pass
        one, other = (fastpool.Pool(Closing, shared="{SECRET}", shared_max=5) for _ in range(2))
        with one.connection(), other.connection():
            fastpool.shared_stats("{SECRET}")
            print(json.dumps(_doctor.facts()["shared pools"]))
            assert "{SECRET}" not in fastpool.doctor()
    """
    (told,) = json.loads(run(program))
    assert told["shared_max"] == 5 and told["processes"] == 1
    assert told["in all"]["leased"] == told["in all"]["size"] == 2
