"""The cost of `with pool.connection(): pass`, and of `async with`, counted and not timed.

No Python frame, few C calls, no memory.
"""

import importlib.util
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

MOST_C_CALLS = 4
LEASE_BYTES = 128 if sysconfig.get_config_var("Py_GIL_DISABLED") else 0
"""Parallel threads share no cached lease: each checkout makes one, and its end frees it."""
STEP_BYTES = {"Pool": 0, "ConnectionPool": 0, "AsyncPool": 160, "aconnection": 160}
"""The result of `await` is carried by a StopIteration, a short-lived object; and the coroutine has a frame."""


def budget(pool, *modules):
    script = Path(__file__).with_name("budget.py")
    done = subprocess.run([sys.executable, script, pool, *modules], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def installed(*modules):
    return tuple(module for module in modules if importlib.util.find_spec(module.partition(".")[0]))


COMPANY = {
    "alone": (),
    "asyncio": ("asyncio",),
    "greenlet": installed("greenlet"),
    "everything": ("asyncio", "concurrent.futures", *installed("greenlet", "gevent", "sqlalchemy", "eventlet")),
}
"""Modules imported first: looking for the current greenlet or task must not cost a call where there is none."""


@pytest.mark.parametrize("company", COMPANY)
@pytest.mark.parametrize("pool", STEP_BYTES)
def test_a_cycle_stays_within_its_budget(pool, company):
    if company == "greenlet" and not COMPANY[company]:
        pytest.skip("greenlet is not installed")
    cost = budget(pool, *COMPANY[company])
    assert cost["frames"] == 0
    assert 0 < cost["c_calls"] <= MOST_C_CALLS
    assert cost["blocks"] == 0, "memory grows with each cycle"
    assert cost["peak_bytes"] <= LEASE_BYTES + STEP_BYTES[pool], "a cycle allocates, if only for a moment"


@pytest.mark.parametrize(("pool", "sockets"), [("Pool", "sockets"), ("aconnection", "sockets-aconnection")])
def test_connections_with_a_descriptor_cost_no_frame_and_no_memory_either(pool, sockets):
    """The one call of their `fileno` is made in compiled code; test_closed_by_holder.py counts it."""
    assert budget(sockets) == budget(pool)


@pytest.mark.parametrize("company", COMPANY)
def test_a_checkout_by_hand_stays_within_its_budget(company):
    """No object is made for it, not even for a moment."""
    cost = budget("by-hand", *COMPANY[company])
    assert cost["frames"] == 0
    assert 0 < cost["c_calls"] <= MOST_C_CALLS
    assert (cost["blocks"], cost["peak_bytes"]) == (0, 0)


def test_a_cycle_in_a_greenlet_costs_no_more():
    pytest.importorskip("gevent", reason="gevent is not installed")
    assert budget("Pool", "in", "gevent") == budget("Pool")


def test_the_counting_sees_frames_calls_and_memory(monkeypatch):
    """A pool written in Python is counted in the same way: each of the four figures must be larger than 0."""
    import contextlib

    from tests.pool import budget as counting

    kept = []

    class Slow:
        @contextlib.contextmanager
        def connection(self):
            kept.append(object())
            yield self

    @contextlib.contextmanager
    def opened(kind):
        yield Slow()

    monkeypatch.setattr(counting, "opened", opened)
    cost = counting.measure("Slow")
    assert cost["frames"] >= 4
    assert cost["c_calls"] >= 1
    assert cost["blocks"] >= counting.STEADY
    assert cost["peak_bytes"] > 0
