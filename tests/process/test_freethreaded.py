"""On a free-threaded build: the GIL stays off, and threads that share a pool do not write shared memory."""

from __future__ import annotations

import sysconfig

import pytest

from ._scripts import run

pytestmark = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded build of Python"
)

IMPORTS = {
    "alone": "import fastpool",
    "everything of its own": """
import pkgutil
import fastpool
for module in pkgutil.walk_packages(fastpool.__path__, "fastpool."):
    if "__main__" not in module.name:
        try:
            __import__(module.name)
        except ImportError as error:
            assert not error.name.startswith("fastpool"), error
""",
}


@pytest.mark.parametrize("imports", IMPORTS)
def test_an_import_leaves_the_gil_off(imports: str) -> None:
    """CPython turns it on, with a RuntimeWarning, for a module that does not declare that it works without."""
    run(
        """
import sys, warnings
assert not sys._is_gil_enabled()
warnings.simplefilter("error", RuntimeWarning)
"""
        + IMPORTS[imports]
        + """
import fastpool
with fastpool.Pool(object, close=id) as pool, pool.connection():
    pass
assert not sys._is_gil_enabled(), "something turned the GIL on"
""",
        unset=["PYTHON_GIL"],
    )


def test_nobody_writes_the_reference_count_of_a_pool() -> None:
    """Otherwise all threads would write one cache line at every checkout, and two threads would be no faster than
    one."""
    run(
        """
import sys, threading
import fastpool

with fastpool.Pool(object, close=id) as pool:
    descriptor = type(pool.connection()).__dict__["__enter__"]
    before = sys.getrefcount(pool), sys.getrefcount(descriptor)
    more = [pool] * 100 + [descriptor] * 100
    leases = [pool.connection() for _ in range(100)]
    assert (sys.getrefcount(pool), sys.getrefcount(descriptor)) == before, "counted"
    assert sys.getrefcount(more) < 10
"""
    )


TOLD = """
import gc, warnings
warnings.simplefilter("always", ResourceWarning)
warnings.showwarning = lambda message, kind, *rest: print(kind.__name__, message)
import fastpool

class Connection:
    def close(self):
        pass

def left_open(name):
    fastpool.Pool(Connection, name=name).warm(2)  # without a keeper, so that a fork warns of no threads

def not_worth_a_word():
    fastpool.Pool(Connection, name="unused")
    with fastpool.Pool(Connection, name="closed") as pool, pool.connection():
        pass
"""


def test_a_pool_that_is_left_open_is_told_at_the_interpreters_exit() -> None:
    out = run(TOLD + "not_worth_a_word(); left_open('one'); left_open('two'); gc.collect(); print('well')")
    well, told = out.splitlines()
    assert well == "well" and told.startswith("ResourceWarning fastpool: not closed before the interpreter's exit: ")
    assert "'one' (2 open)" in told and "'two' (2 open)" in told
    assert "unused" not in told and "'closed'" not in told


def test_a_pool_that_is_closed_by_an_atexit_handler_is_not_told() -> None:
    closing = (
        "import atexit; pool = fastpool.Pool(Connection); pool.warm(1); atexit.register(pool.close); print('well')"
    )
    assert run(TOLD + closing) == "well\n"


def test_a_forked_child_does_not_tell_of_its_parents_pools() -> None:
    fork = """
left_open("parent's")
import os, sys
child = os.fork()
if child == 0:
    print("the child")
    sys.exit()
os.waitpid(child, 0)
print("the parent")
"""
    child, parent, told = run(TOLD + fork).splitlines()
    assert (child, parent) == ("the child", "the parent") and "parent's" in told


def test_a_closed_pool_keeps_its_own_memory_and_no_connection() -> None:
    """A closed pool itself is never freed (decision 16): the memory that it keeps is bounded."""
    run(
        """
import gc, tracemalloc, weakref
import fastpool

class Connection:
    def __init__(self):
        self.buffer = bytearray(100_000)
    def close(self):
        pass

opened = []
def connect():
    opened.append(weakref.ref(c := Connection()))
    return c

def use():
    with fastpool.Pool(connect, max_size=8) as pool:
        for c in [pool.checkout() for _ in range(8)]:
            pool.checkin(c)
        del c

for _ in range(20):
    use()
gc.collect()
tracemalloc.start()
before = tracemalloc.get_traced_memory()[0]
for _ in range(100):
    use()
gc.collect()
alive = sum(one() is not None for one in opened)
opened.clear()
grown = (tracemalloc.get_traced_memory()[0] - before) / 100
assert alive == 0, f"{alive} connections are kept"
assert grown < 24_000, grown
print(grown)
"""
    )
