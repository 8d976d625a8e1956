"""A Django project with its pool in the settings, as issue #21 proposes it, under runserver and gunicorn."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pool.real_servers import free_port, leashed

from ._rows import SIZE, ask_for_all, get, serve
from ._scripts import ROOT

pytest.importorskip("happybase")
pytest.importorskip("django", reason="needs Django (extra: hosts)")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
WITHIN_S = 45


@pytest.fixture(scope="module")
def rows() -> Iterator[Any]:
    """The server that has the rows."""
    with serve() as server:
        yield server


@pytest.fixture
def hbase(rows: Any) -> Any:
    """The server with rows, without any open connection."""
    assert rows.wait_connections(0, 10), rows.connections_open
    return rows


@pytest.fixture
def site(hbase: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, where it may be edited, and the environment that it needs."""
    folder = tmp_path / "site"
    shutil.copytree(Path(__file__).with_name("django_site"), folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("FASTPOOL_TEST_HBASE", str(hbase.port))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(folder)]))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # an edit within a second of another must count
    monkeypatch.setenv("HOME", str(tmp_path))  # gunicorn keeps a socket there
    return folder


def ask(address: str, path: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", path)
        said: dict[str, Any] = json.loads(connection.getresponse().read())
        return said
    finally:
        connection.close()


def check(answers: list[dict[str, Any]]) -> None:
    """Everyone got its own row, alone on its connection; no process has too many, and no connection has two."""
    assert [one["row"] for one in answers] == [str(number) for number in range(len(answers))]
    assert {one["sharers"] for one in answers} == {1}, "two requests were on one connection at once"
    users: dict[int, set[int]] = {}
    for one in answers:
        users.setdefault(one["port"], set()).add(one["pid"])
    assert all(len(pids) == 1 for pids in users.values()), "two processes talked on one connection"
    assert len(users) <= SIZE * len({one["pid"] for one in answers}), users


def version_is(address: str, wanted: int) -> dict[str, Any]:
    """Wait until the views of this version serve, as a server that reloads itself is away for a moment."""
    end = time.monotonic() + WITHIN_S
    while True:
        try:
            said = ask(address, "/version")
            if said["version"] == wanted:
                return said
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            pass  # there is no server, or the old one ended within its answer
        assert time.monotonic() < end, f"version {wanted} does not come"
        time.sleep(0.05)


@pytest.mark.timeout(150)
def test_runserver_and_its_autoreload(site: Path, hbase: Any, tmp_path: Path) -> None:
    port = free_port()
    opened = hbase.connections_opened
    command = [sys.executable, str(site / "manage.py"), "runserver", f"127.0.0.1:{port}"]
    with leashed(command, port, tmp_path) as address:
        first = version_is(address, 1)
        assert first["open"] == 0 and hbase.connections_opened == opened, "importing the settings opens nothing"
        check(answers := ask_for_all(lambda number: get(address, number)))
        assert {one["pid"] for one in answers} == {first["pid"]}
        assert hbase.connections_open == len({one["port"] for one in answers}) <= SIZE

        views = site / "shop" / "views.py"
        views.write_text(views.read_text().replace("VERSION = 1", "VERSION = 2"))
        second = version_is(address, 2)
        assert second["pid"] != first["pid"] and second["open"] == 0
        assert hbase.wait_connections(0, WITHIN_S), "the connections of the process before are gone"
        check(answers := ask_for_all(lambda number: get(address, number)))
        assert {one["pid"] for one in answers} == {second["pid"]}
    assert hbase.wait_connections(0, WITHIN_S), "and with the server, all are"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("loading", ["preload", "lazy"])
def test_gunicorn(loading: str, site: Path, hbase: Any, tmp_path: Path) -> None:
    if importlib.util.find_spec("gunicorn") is None:
        pytest.skip("gunicorn is not installed (extra: hosts)")
    port = free_port()
    opened = hbase.connections_opened
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "4"]
    command += ["--worker-class", "gthread", *(["--preload"] if loading == "preload" else []), "shop.wsgi:application"]
    with leashed(command, port, tmp_path) as address:
        version_is(address, 1)
        assert hbase.connections_opened == opened, "neither the parent nor a worker has connected"
        check(answers := ask_for_all(lambda number: get(address, number)))
        assert hbase.connections_open == len({one["port"] for one in answers}), "the parent has none"
    assert hbase.wait_connections(0, WITHIN_S)
