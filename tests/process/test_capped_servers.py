"""Application servers whose eight workers share a cap of ten: kept through kills and reloads, and nobody starves."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import fastpool
from tests.pool.real_servers import free_port, leashed
from tests.shared._party import ROOT, CountingServer, connect, wait_until

from .test_app_servers import needs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks of open files are Linux's")
NAME, CAP, WORKERS, AT_ONCE = "capped", 10, 8, 32
APPLICATION = "tests.process._capped_app:application"
Ask = Callable[[str, float], dict[str, Any]]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    """A server that counts; the environment says where it is, and where the page lies."""
    counting = CountingServer()
    (tmp_path / "pages").mkdir(mode=0o700)
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(tmp_path / "pages"))
    monkeypatch.setenv("FASTPOOL_TEST_PORT", str(counting.port))
    monkeypatch.setenv("FASTPOOL_TEST_FOLDER", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
    monkeypatch.setenv("HOME", str(tmp_path))
    try:
        yield counting
    finally:
        counting.close()


def by_http(address: str) -> Ask:
    def ask(what: str, seconds: float) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{address}/{what}?seconds={seconds}", timeout=50) as reply:
            return dict(json.load(reply))

    return ask


def all_permits(server: CountingServer) -> float:
    """The seconds until a pool of this process has every permit of the name, from those that are free or idle."""
    began = time.monotonic()
    with fastpool.Pool(
        partial(connect, server.port), max_size=CAP, max_connecting=CAP, timeout=30, shared=NAME
    ) as pool:
        with ThreadPoolExecutor(CAP) as threads:
            try:
                held = list(threads.map(lambda _: pool.checkout(), range(CAP)))
            except fastpool.NoConnectionsAvailable as error:
                raise AssertionError(f"the holders of the others: {fastpool.shared_stats(NAME)}") from error
        took = time.monotonic() - began
        for c in held:
            pool.checkin(c)
    return took


def holders() -> list[int]:
    """The processes that hold four connections now; the figures of shared_stats may be a moment old."""
    return [int(path.stem) for path in Path(os.environ["FASTPOOL_TEST_FOLDER"]).glob("*.holds")]


def share_the_cap(ask: Ask, server: CountingServer, at_once: int, seconds: float) -> float:
    """Keep all workers busy; the smallest share of a worker, of the mean."""
    with ThreadPoolExecutor(at_once) as clients:
        answers = list(clients.map(lambda _: ask("work", seconds), range(at_once)))
    done = Counter[int]()
    for answer in answers:
        done[answer["pid"]] += answer["checkouts"]
    assert server.most <= CAP, server.most
    return min(done.values()) * len(done) / sum(done.values()) if len(done) == WORKERS else 0.0


def kill_a_holder(ask: Ask, server: CountingServer) -> float:
    """Kill a worker that holds four connections; the seconds until others can have all ten."""
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(ask, "hold", 30.0)
        pid = wait_until(holders)[0]
        os.kill(pid, signal.SIGKILL)
        took = all_permits(server)
        assert asked.exception(60) is not None
    assert server.most <= CAP, server.most
    return took


def told(text: str) -> None:
    """Print a measurement; pytest shows it with -s."""
    print(text, file=sys.stderr)


def all_of_it(
    ask: Ask, server: CountingServer, at_once: int, reload: Callable[[], object], seconds: float = 2.0
) -> None:
    fairest = share_the_cap(ask, server, at_once, seconds)
    took = kill_a_holder(ask, server)
    before = {stats.pid for stats in fastpool.shared_stats(NAME)}
    with ThreadPoolExecutor(4) as clients:
        busy = [clients.submit(ask, "work", 1.0) for _ in range(4)]
        reload()
        for one in busy:
            one.exception(60)  # a request may be lost in a reload; the cap is not
        wait_until(lambda: not before & {stats.pid for stats in fastpool.shared_stats(NAME)})
    ask("work", 0.1)
    again = all_permits(server)
    told(f"fewest/mean {fairest:.2f}; all permits {took:.2f} s after a kill, {again:.2f} s after a reload")
    assert server.most <= CAP, server.most
    assert fairest >= 0.5, fairest
    assert max(took, again) < 10, "a second on a machine that has nothing else to do"


@contextlib.contextmanager
def master(name: str, command: list[str], port: int, folder: Path) -> Iterator[tuple[Ask, int]]:
    """A server that runs, how it is asked, and its master's pid."""
    pidfile = folder / "master.pid"
    with leashed([*command, f"--pid{'file' if name == 'uwsgi' else ''}", str(pidfile)], port, folder) as address:
        wait_until(lambda: pidfile.exists() and pidfile.read_text().strip())
        wait_until(lambda: len(fastpool.shared_stats(NAME)) >= WORKERS, 50)
        yield by_http(address), int(pidfile.read_text())


def test_gunicorn(server: CountingServer, tmp_path: Path) -> None:
    needs("gunicorn")
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS)]
    command += ["--worker-class", "gthread", "--threads", "4", "--worker-connections", "4", "--graceful-timeout", "5"]
    with master("gunicorn", [*command, APPLICATION], port, tmp_path) as (ask, pid):
        all_of_it(ask, server, AT_ONCE, lambda: os.kill(pid, signal.SIGHUP))


@pytest.mark.stress
def test_uwsgi(server: CountingServer, tmp_path: Path) -> None:
    program = shutil.which("uwsgi", path=os.path.dirname(sys.executable))
    if program is None:
        pytest.skip("uwsgi is not installed in this environment")
    port = free_port()
    command = [program, "--http-socket", f"127.0.0.1:{port}", "--home", sys.prefix, "--module", APPLICATION]
    command += ["--need-app", "--die-on-term", "--master", "--lazy-apps", "--processes", str(WORKERS), "--threads", "4"]
    with master("uwsgi", command, port, tmp_path) as (ask, pid):
        all_of_it(ask, server, AT_ONCE, lambda: os.kill(pid, signal.SIGHUP))


@pytest.mark.stress
def test_celery(server: CountingServer, tmp_path: Path) -> None:
    needs("celery")
    from . import _capped_celery

    lock = threading.Lock()

    def ask(what: str, seconds: float) -> dict[str, Any]:
        with lock:
            sent = getattr(_capped_celery, what).delay(seconds)
        return dict(sent.get(timeout=50, interval=0.05))

    options = ["--pool", "prefork", "--concurrency", str(WORKERS), "--loglevel", "WARNING", "-O", "fair"]
    command = [sys.executable, "-m", "celery", "-A", _capped_celery.__name__, "worker", *options]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    environment = {**os.environ, "FASTPOOL_TEST_WORKER": "1"}

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=environment, stdout=sys.stderr)

    workers = [start()]

    def reload() -> None:
        workers[-1].terminate()  # warm: what runs comes to its end
        workers[-1].wait(30)
        workers.append(start())

    try:
        all_of_it(ask, server, WORKERS, reload, 8.0)  # tasks do not begin at once
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
                try:
                    worker.wait(20)
                except subprocess.TimeoutExpired:
                    worker.kill()
                    worker.wait(20)
