"""Real application servers and process pools around one pool: each of many concurrent requests gets its own row."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pool.real_servers import free_port, leashed

from ._rows import ask_for_all, check, get, serve
from ._scripts import ROOT, run

pytest.importorskip("happybase")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
APPLICATION = "tests.process._rows_app:application"


@pytest.fixture(scope="module")
def rows() -> Iterator[Any]:
    """The server that has the rows."""
    with serve() as server:
        yield server


@pytest.fixture
def hbase(rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The server without any connection yet, and the environment in which an application finds it."""
    assert rows.wait_connections(0, 10), rows.connections_open
    monkeypatch.setenv("FASTPOOL_TEST_HBASE", str(rows.port))
    monkeypatch.setenv("FASTPOOL_TEST_FOLDER", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
    monkeypatch.setenv("HOME", str(tmp_path))  # gunicorn keeps a socket there
    return rows


def needs(*modules: str) -> None:
    for name in modules:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


def now_and_then(*cases: tuple[Any, ...], always: tuple[tuple[Any, ...], ...]) -> list[Any]:
    """Cases of which those in ``always`` run by default, the others with `make stress`."""
    return [pytest.param(*case, marks=() if case in always else pytest.mark.stress) for case in cases]


def replace_workers(answers: list[dict[str, Any]], hbase: Any) -> None:
    """End the workers that answered: their connections end, the one that their parent opened stays."""
    for pid in {one["pid"] for one in answers}:
        os.kill(pid, signal.SIGTERM)
    assert hbase.wait_connections(1, 10), hbase.connections_open


GUNICORN = {
    "sync": ["--worker-class", "sync"],
    "gthread": ["--worker-class", "gthread", "--threads", "6"],
    "gevent": ["--worker-class", "gevent"],
}
LOADING = ("preload", "lazy")


@pytest.mark.parametrize(
    ("worker", "loading"),
    now_and_then(
        *((worker, loading) for worker in GUNICORN for loading in LOADING),
        always=(("gthread", "preload"), ("gevent", "preload")),
    ),
)
def test_gunicorn(worker: str, loading: str, hbase: Any, tmp_path: Path) -> None:
    needs("gunicorn", *(["gevent"] if worker == "gevent" else []))
    port, preloaded, at_once = free_port(), loading == "preload", worker != "sync"
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "2", *GUNICORN[worker]]
    with leashed([*command, *(["--preload"] if preloaded else []), APPLICATION], port, tmp_path) as address:
        answers = ask_for_all(lambda number: get(address, number))
        check(answers, at_once=at_once, preloaded=preloaded)
        if preloaded:
            replace_workers(answers, hbase)
            check(ask_for_all(lambda number: get(address, number)), at_once=at_once, preloaded=True)


@pytest.mark.stress
@pytest.mark.parametrize("loading", LOADING)
def test_uwsgi(loading: str, hbase: Any, tmp_path: Path) -> None:
    program = shutil.which("uwsgi", path=os.path.dirname(sys.executable))
    if program is None:
        pytest.skip("uwsgi is not installed in this environment")
    port, preloaded = free_port(), loading == "preload"
    command = [program, "--http-socket", f"127.0.0.1:{port}", "--home", sys.prefix, "--module", APPLICATION]
    command += ["--need-app", "--die-on-term", "--master", "--processes", "2", "--threads", "4"]
    with leashed([*command, *([] if preloaded else ["--lazy-apps"])], port, tmp_path) as address:
        answers = ask_for_all(lambda number: get(address, number))
        check(answers, at_once=True, preloaded=preloaded)


@pytest.mark.parametrize("method", now_and_then(("fork",), ("forkserver",), ("spawn",), always=(("fork",),)))
def test_multiprocessing(method: str, hbase: Any) -> None:
    out = run(f"from tests.process._rows_processes import main\nmain({method!r})", seconds=30)
    check(json.loads(out), at_once=True, preloaded=method == "fork")


@pytest.mark.stress
def test_celery(hbase: Any) -> None:
    needs("celery")
    out = run("from tests.process._rows_celery import main\nmain()", seconds=50)
    check(json.loads(out), at_once=False, preloaded=True)
