"""Signals and the interpreter's end: nothing is lost, nothing hangs, nothing crashes."""

from __future__ import annotations

import signal
import sys

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
"""


@pytest.mark.parametrize("timeout", ["None", "60"])
def test_ctrl_c_while_waiting_is_noticed_within_a_second_and_costs_nothing(timeout: str) -> None:
    run(
        PRELUDE
        + f"""
signal.signal(signal.SIGINT, signal.default_int_handler)
pool = fastpool.Pool(Thing, max_size=1)
c = pool.checkout()
struck = []

def strike():
    until(lambda: pool.stats().waiting == 1)
    struck.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

for n in range(5):
    thread = threading.Thread(target=strike)
    thread.start()
    try:
        with pool.connection(timeout={timeout}):
            raise AssertionError("nobody gave anything back")
    except KeyboardInterrupt:
        assert time.monotonic() - struck.pop() < 1
    thread.join()
pool.checkin(c)
assert rested(pool)
assert pool.checkout(timeout=0) is c and pool.stats().cancelled == 5
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
signal.signal(signal.SIGALRM, strike)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
def go():  # a function, because since 3.13 a `try` around a loop does not cover the jump back to its beginning
    global armed, rounds
    while time.monotonic() < end:
        armed = True  # again, for it may have struck another greenlet
        work()
        rounds += 1
    armed = False

while time.monotonic() < end:
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
assert alarms > 50, alarms
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
while time.monotonic() < end:
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
assert served > 100 and rested(pool), (served, pool)
"""
    )


def test_finalizers_that_use_the_pool_and_leases_that_nobody_ends() -> None:
    run(
        PRELUDE
        + """
pool = fastpool.Pool(Thing, max_size=40, timeout=10)
served = 0

class Cycle:
    def __init__(self):
        self.me = self
        self.lease = pool.connection()
        self.lease.__enter__()
    def __del__(self):
        global served
        with pool.connection():
            served += 1

gc.set_threshold(5)
for n in range(2000):
    with pool.connection():
        Cycle()
        with pool.connection():
            [[] for _ in range(3)]
    if n % 3 == 0:
        gc.collect()
gc.collect()
assert served == 2000, served
assert rested(pool), pool
"""
    )


ENDINGS = {
    "an open pool": "",
    "a lease out": "c = pool.checkout(); lease = pool.connection(); lease.__enter__()",
    "daemon threads waiting for ever": """
held = [pool.checkout(), pool.checkout()]
for _ in range(5):
    threading.Thread(target=lambda: pool.checkout(timeout=None), daemon=True).start()
until(lambda: pool.stats().waiting == 5)
""",
    "daemon threads at work": """
def work():
    while True:
        with pool.connection():
            pass
for _ in range(5):
    threading.Thread(target=work, daemon=True).start()
until(lambda: pool.stats().checkouts > 100)
""",
    "daemon threads waiting with a time limit that ends now": """
held = [pool.checkout(), pool.checkout()]
def work():
    while True:
        try:
            pool.checkout(timeout=0.0005)
        except fastpool.NoConnectionsAvailable:
            pass
for _ in range(5):
    threading.Thread(target=work, daemon=True).start()
until(lambda: pool.stats().timeouts > 20)
""",
    "a keeper at work": "pool = fastpool.Pool(Thing, min_size=2, keepalive=0.001, idle_timeout=0.002)\n"
    "until(lambda: pool.stats().connects > 3)",
    "a pool used by an atexit handler": """
import atexit
atexit.register(lambda: pool.connection().__enter__())
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_interpreter_ends_with(ending: str) -> None:
    program = PRELUDE + "pool = fastpool.Pool(Thing, max_size=2)\n" + ENDINGS[ending] + "\nprint('well')\n"
    for _ in range(3):
        assert run(program, seconds=20).strip() == "well"


def test_sub_interpreters_are_refused_by_name() -> None:
    module = "_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters"
    out = run(
        f"""
import {module} as i
import fastpool
one = i.create()
said = i.run_string(one, '''
try:
    import fastpool
    fastpool.Pool
except ImportError as error:
    print("refused:", error)
else:
    print("imported")
''')
"""
    )
    assert "refused:" in out and "interpreter" in out
