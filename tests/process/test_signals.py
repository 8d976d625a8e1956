"""Signals, their handlers and finalizers: no slot is lost, nothing hangs."""

from __future__ import annotations

import importlib.util
import signal

import pytest

from ._scripts import run

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers on this system")

PRELUDE = """
import gc, os, signal, sys, threading, time
import fastpool

class Thing:
    users = 0

def rested(pool):
    s = pool.stats()
    return (s.leased, s.connecting, s.waiting) == (0, 0, 0) and s.idle == len(pool)

def until(holds, seconds=15):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)

def strike_while_it_waits(wait, times, others=0):
    # Ctrl-C while others and the main thread stand in line, so many times: it is noticed within a second.
    took = []

    def strike():
        until(lambda: pool.stats().waiting == 1 + others)
        took.append(-time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    for n in range(times):
        thread = threading.Thread(target=strike)
        thread.start()
        try:
            wait()
            raise AssertionError("nobody gave anything back")
        except KeyboardInterrupt:
            took[n] += time.monotonic()
        thread.join()
        assert pool.stats().waiting == others, pool
    assert min(took) < 1, took  # at its best: the machine may stand still
    assert pool.stats().cancelled == times, pool.stats()
"""


@pytest.mark.parametrize("timeout", ["None", "60"])
def test_ctrl_c_while_waiting_is_noticed_within_a_second_and_costs_nothing(timeout: str) -> None:
    run(
        PRELUDE
        + f"""
pool = fastpool.Pool(Thing, max_size=1)
c = pool.checkout()

def wait():
    with pool.connection(timeout={timeout}):
        raise AssertionError("nobody gave anything back")

strike_while_it_waits(wait, 5)
pool.checkin(c)
assert rested(pool)
assert pool.checkout(timeout=0) is c
"""
    )


HOW_TO_WAIT = {
    "a greenlet of gevent": """
import gevent
gevent.get_hub()
def wait():
    pool.checkout(timeout=None)
""",
    "gevent's main greenlet while others wait, too": """
import gevent
others = [gevent.spawn(lambda: pool.checkout(timeout=None)) for _ in range(3)]
def wait():
    with pool.connection(timeout=None):
        raise AssertionError
""",
    "a greenlet of eventlet": """
import eventlet, eventlet.hubs
eventlet.hubs.get_hub()
def wait():
    pool.checkout(timeout=None)
""",
    "a task on an AsyncPool": """
import asyncio
async def connect():
    return Thing()
pool = fastpool.AsyncPool(connect, max_size=1)
c = asyncio.run(pool.checkout())
def wait():
    asyncio.run(pool.checkout(timeout=None))
""",
    "a task on a Pool": """
import asyncio
async def use():
    async with pool.aconnection(timeout=None):
        raise AssertionError
def wait():
    asyncio.run(use())
""",
}


@pytest.mark.parametrize("who", HOW_TO_WAIT)
def test_ctrl_c_while_waiting_is_noticed_in_every_concurrency_model(who: str) -> None:
    for library in ("gevent", "eventlet"):
        # not imported here: eventlet would warn at every later fork
        if library in who and importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    run(
        PRELUDE
        + f"""
pool = fastpool.Pool(Thing, max_size=1)
c = pool.checkout()
others = []
{HOW_TO_WAIT[who]}
if others:
    gevent.sleep(0)

strike_while_it_waits(wait, 3, len(others))
pool.checkin(c)
if others:
    for other in others:
        assert other.get(timeout=5) is c
        pool.checkin(c)
assert rested(pool), pool
"""
    )


STORMS = {
    "alone": "work = lambda: use()",
    "contended": """
stop = threading.Event()
def others():
    while not stop.is_set():
        with pool.connection():
            time.sleep(0)
threads = [threading.Thread(target=others) for _ in range(3)]
for t in threads: t.start()
work = lambda: use()
""",
    "connecting": "work = lambda: (use(), pool.clear())",
    "greenlets": """
import gevent
def others():
    global alarms
    while True:
        try:
            with pool.connection():
                gevent.sleep(0)
        except Alarm:
            alarms += 1
greenlets = [gevent.spawn(others) for _ in range(3)]
work = lambda: (use(), gevent.sleep(0))
""",
}


@pytest.mark.timeout(90)
@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=pytest.mark.stress)])
@pytest.mark.parametrize("storm", STORMS)
def test_a_raising_alarm_every_millisecond_loses_no_slot(storm: str, seconds: int) -> None:
    if storm == "greenlets":
        pytest.importorskip("gevent")
    out = run(
        PRELUDE
        + f"""
import logging
# CPython 3.14 takes the lock of a log handler by `with`: an alarm can leave it taken, and every later log call hangs.
logging.getLogger("fastpool").disabled = True

class Alarm(BaseException):
    pass

armed = False

def strike(signum, frame):
    global armed
    if armed:
        armed = False  # one blow at a time, or the loop below could not catch them all
        raise Alarm

pool = fastpool.Pool(Thing, max_size=2, timeout=30, max_connecting=2)

def use():
    with pool.connection() as c:
        pass

stop = None
{STORMS[storm]}
alarms = rounds = 0
end = time.monotonic() + {seconds}

def on():
    return time.monotonic() < end or alarms <= 50  # a slow machine takes longer

signal.signal(signal.SIGALRM, strike)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
def go():  # a function, because since 3.13 a `try` around a loop does not cover the jump back to its beginning
    global armed, rounds
    while on():
        armed = True  # again, for it may have struck another greenlet
        work()
        rounds += 1
    armed = False

while on():
    try:
        go()
    except Alarm:
        alarms += 1
armed = False
signal.setitimer(signal.ITIMER_REAL, 0)
if stop is not None:
    stop.set()
    for t in threads: t.join(20)
if {storm == "greenlets"}:
    gevent.killall(greenlets, timeout=10)
gc.collect()
until(lambda: rested(pool))
both = pool.checkout(timeout=5), pool.checkout(timeout=5)
assert both[0] is not both[1]
print(rounds, "rounds,", alarms, "alarms,", pool.stats().connects, "connects")
""",
        seconds=seconds + 50,
    )
    print(out)


def test_a_handler_that_uses_the_pool_itself() -> None:
    run(
        PRELUDE
        + """
pool = fastpool.Pool(Thing, max_size=3, timeout=10)
served = 0

busy = False

def strike(signum, frame):
    global served, busy
    if not busy:  # a slow machine must not pile up handlers
        busy = True
        try:
            with pool.connection(timeout=0):
                pass
        except fastpool.NoConnectionsAvailable:
            pass
        served += 1
        busy = False

signal.signal(signal.SIGALRM, strike)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
end = time.monotonic() + 2
while time.monotonic() < end or served <= 100:
    with pool.connection():
        with pool.connection():
            pool.clear()
held = [pool.checkout(), pool.checkout()]
for _ in range(20):
    before = served
    until(lambda: served > before)
    try:
        with pool.connection(), pool.connection(timeout=0.002):
            raise AssertionError
    except fastpool.NoConnectionsAvailable:
        pass
signal.setitimer(signal.ITIMER_REAL, 0)
for c in held:
    pool.checkin(c)
assert rested(pool), pool
"""
    )


FINALIZERS = {  # of a cycle that holds a lease
    "__del__": "Cycle.__del__ = lambda self: use()",
    "weakref callback": "of = lambda cycle: alive.append(weakref.ref(cycle, lambda ref: use()))",
    "weakref.finalize": "of = lambda cycle: weakref.finalize(cycle, use)",
    "by hand": "Cycle.__del__ = lambda self: pool.checkin(pool.checkout(timeout=0))",
}


@pytest.mark.parametrize("finalizer", FINALIZERS)
def test_finalizers_that_use_the_pool_and_leases_that_nobody_ends(finalizer: str) -> None:
    run(
        PRELUDE
        + f"""
import weakref
pool = fastpool.Pool(Thing, max_size=40, timeout=10)
served = 0

class Cycle:
    def __init__(self):
        self.me = self
        self.lease = pool.connection()
        self.lease.__enter__()

def use():
    global served
    with pool.connection():
        served += 1

alive = []
of = lambda cycle: None
{FINALIZERS[finalizer]}
gc.set_threshold(5)
for n in range(600):
    with pool.connection():
        of(Cycle())
        with pool.connection():
            [[] for _ in range(3)]
    if n % 3 == 0:
        gc.collect()
gc.collect()
assert served == (0 if {finalizer == "by hand"} else 600), served
assert pool.stats().checkouts == 2400, pool.stats()
assert rested(pool), pool
"""
    )
