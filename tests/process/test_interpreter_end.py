"""Interpreter exit with a pool in use: no hang, no crash; and more than one interpreter."""

from __future__ import annotations

import sys

import pytest

from ._scripts import run
from .test_signals import PRELUDE

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
    "greenlets in line, and one that holds": """
import gevent
held = [pool.checkout(), pool.checkout()]
greenlets = [gevent.spawn(lambda: pool.checkout(timeout=None)) for _ in range(5)]
until(lambda: gevent.sleep(0) or pool.stats().waiting == 5)
""",
    "tasks in line in a daemon thread's loop": """
import asyncio
async def connect():
    return Thing()
apool = fastpool.AsyncPool(connect, max_size=1)
async def live():
    held = await apool.checkout(), pool.checkout(), pool.checkout()
    async def use():
        async with pool.aconnection(timeout=None):
            pass
    await asyncio.gather(*(apool.checkout(timeout=None) for _ in range(3)), *(use() for _ in range(3)))
threading.Thread(target=lambda: asyncio.run(live()), daemon=True).start()
until(lambda: apool.stats().waiting == 3 and pool.stats().waiting == 3)
""",
    "a connect that hangs in a daemon thread": """
def hang():
    connecting.set()
    time.sleep(60)
connecting = threading.Event()
hanging = fastpool.Pool(hang, max_size=2, max_connecting=1)
for _ in range(2):
    threading.Thread(target=hanging.checkout, daemon=True).start()
until(lambda: connecting.is_set() and hanging.stats().waiting == 1)
""",
    "a generator left in its block": """
def block():
    with pool.connection() as c:
        yield c
left = [block(), block()]
[next(one) for one in left]
""",
    "finalizers that use it when all is torn down": """
class Last:
    def __init__(self, pool):
        self.pool, self.me = pool, self
    def __del__(self):
        with self.pool.connection():
            pass
last = Last(pool)
""",
    "a pool used by an atexit handler": """
import atexit
atexit.register(lambda: pool.connection().__enter__())
""",
}


@pytest.mark.parametrize("times", [1, pytest.param(8, marks=pytest.mark.stress)])
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_interpreter_ends_with(ending: str, times: int) -> None:
    if "greenlets" in ending:
        pytest.importorskip("gevent")
    program = PRELUDE + "pool = fastpool.Pool(Thing, max_size=2)\n" + ENDINGS[ending] + "\nprint('well')\n"
    for _ in range(times):
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


def test_a_sub_interpreter_that_comes_first_does_not_shut_out_the_main_one() -> None:
    module = "_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters"
    legacy = "isolated=False" if sys.version_info < (3, 13) else "'legacy'"
    out = run(
        f"""
import {module} as i
for one in i.create(), i.create({legacy}):
    i.run_string(one, '''
try:
    import fastpool
except ImportError as error:
    print("refused:", error, flush=True)
else:
    print("imported", flush=True)
''')
    i.destroy(one)
import fastpool
with fastpool.Pool(object).connection():
    print("served")
"""
    )
    assert out.count("refused:") == 2 and "imported" not in out
    assert "not in a sub-interpreter" in out and out.rstrip().endswith("served")
