"""The adapters' own threads and waits under gevent or eventlet, patched; each test in a process of its own."""

from __future__ import annotations

import importlib.util
import time

import pytest

from tests.process._scripts import run

PATCHED = """
import sys
if sys.argv[1] == "gevent":
    import gevent.monkey
    gevent.monkey.patch_all()
    import gevent
    sleep, later = gevent.sleep, gevent.spawn_later
else:
    import warnings
    warnings.simplefilter("ignore")
    import eventlet
    eventlet.monkey_patch()
    sleep, later = eventlet.sleep, eventlet.spawn_after
"""
BOTH = pytest.mark.parametrize("library", ["gevent", "eventlet"])


def said_by(library: str, program: str) -> list[str]:
    """The lines that the program prints."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    return run(PATCHED + program, library).splitlines()


@BOTH
def test_a_reaper_that_waits_stops_no_greenlet(library: str) -> None:
    began = time.monotonic()
    said = said_by(
        library,
        """
from fastpool.adapters.socketpool import ConnectionPool, TcpConnector
pool = ConnectionPool(TcpConnector, options={"host": "127.0.0.1", "port": 1}, reap_delay=1000)
sleep(0.01)
pool.stop_reaper()
print("slept")
""",
    )
    assert said == ["slept"] and time.monotonic() - began < 40


@BOTH
def test_a_monitor_that_waits_stops_no_greenlet(library: str) -> None:
    pytest.importorskip("cassandra", reason="cassandra-driver is not installed")
    said = said_by(
        library,
        """
from tests.adapters._cassandra_session import Cluster, Session
from fastpool.adapters.cassandra import SessionPool
pool = SessionPool(Session(Cluster(at_once=True)))
monitor = pool.monitor(1000)
while monitor.rounds == 0:
    sleep(0.01)
monitor.stop()
print("slept")
""",
    )
    assert said == ["slept"]


@BOTH
def test_health_lets_the_hub_bring_the_answers(library: str) -> None:
    pytest.importorskip("cassandra", reason="cassandra-driver is not installed")
    said = said_by(
        library,
        """
from tests.adapters._cassandra_session import Cluster, Session
from fastpool.adapters.cassandra import SessionPool
class Answers(Session):
    def execute_async(self, *args, **kwargs):
        future = super().execute_async(*args, **kwargs)
        later(0.01, future.answer, [("5",)])  # as a loop of the driver's that runs in the hub does
        return future
sleep(0)
print([host.error for host in SessionPool(Answers()).health(timeout=20)])
""",
    )
    assert said == ["[None, None, None]"]


@pytest.mark.parametrize("patched", [True, False])
def test_a_connector_of_gevents_in_another_thread(patched: bool) -> None:
    """Its socket waits in the hub of the thread that made it, so the other thread goes on with a socket of its own."""
    if importlib.util.find_spec("gevent") is None:
        pytest.skip("gevent is not installed")
    said = run(
        ("import gevent.monkey\ngevent.monkey.patch_all()\n" if patched else "")
        + """
import gevent, gevent.socket
from fastpool.adapters.socketpool import TcpConnector, backend_gevent
listener = gevent.socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
def serve():
    one, _ = listener.accept()
    while data := one.recv(100):
        gevent.sleep(0.01)
        one.sendall(data)
gevent.spawn(serve)
c = TcpConnector(*listener.getsockname(), backend_gevent)
def ask(text):
    c.sendall(text)
    return c.recv()
print(ask(b"here"))
print(gevent.get_hub().threadpool.spawn(ask, b"there").get(timeout=20))
"""
    )
    assert said.splitlines() == ["b'here'", "b'there'"]
