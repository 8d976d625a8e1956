"""Greenlets on the drop-in: a kill or a Timeout in the middle of a call is an interruption like any other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gevent")

# Monkey-patching cannot be undone, so it happens in a separate process.
SCRIPT = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent
from gevent.event import Event
import fastpool
import sys
from tests.adapters._scripted import ScriptedServer, row
from tests.adapters._ways import WAYS

server = {"plain": ScriptedServer, **WAYS}[sys.argv[1]]()
arrived, late = Event(), Event()

def slow(call):
    if call.args.row == b"mine":
        arrived.set()
        assert late.wait(5)
    call.stream.send(call.stream.good(call))

def read(key):
    with pool.connection() as c:
        return c.table("t").row(key)

server.script = slow
with fastpool.ConnectionPool(1, timeout=5000, **server.connect) as pool:
    for turn in range(3):
        victim = gevent.spawn(read, b"mine")
        assert arrived.wait(5)
        victim.kill()
        late.set()
        assert gevent.spawn(read, b"other").get(timeout=5) == row(b"other")
        arrived.clear(), late.clear()

        with gevent.Timeout(0.05, False):
            read(b"mine")
        assert arrived.wait(5)
        late.set()
        assert read(b"after") == row(b"after")
        arrived.clear(), late.clear()

        with pool.connection() as c:
            with gevent.Timeout(0.05, False):
                c.table("t").row(b"mine")
            assert arrived.wait(5)
            late.set()
        assert read(b"later") == row(b"later")
        arrived.clear(), late.clear()

    # One connection, lent to another greenlet while a call is under way on it.
    with pool.connection() as c:
        holder = gevent.spawn(c.table("t").row, b"mine")
        assert arrived.wait(5)
        try:
            c.tables()
        except fastpool.LeaseError:
            pass
        else:
            raise AssertionError("two calls at once on one connection")
        late.set()
        assert holder.get(timeout=5) == row(b"mine")
        assert c.table("t").row(b"mine too") == row(b"mine too")
    assert pool.stats().closed["error"] == 9
server.close()
print("done")
"""


@pytest.mark.parametrize(
    "way", ["plain", "tls", *(pytest.param(way, marks=pytest.mark.stress) for way in ("socket", "transport over tls"))]
)
def test_killed_and_timed_out_in_the_middle_of_a_call(way: str) -> None:
    if "tls" in way:
        pytest.importorskip("trustme", reason="trustme is not installed (extra: servers)")
    root = Path(__file__).parents[2]
    paths = [str(root), str(root / "src"), *(path for path in sys.path if path)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, way],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
