"""On a free-threaded build: the GIL stays off, and threads that share a pool do not write what they share."""

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
    """CPython turns it on, with a RuntimeWarning, for a module that does not say that it can do without."""
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
    """It would be the one line that all threads write at every checkout: two threads then do what one does."""
    run(
        """
import sys, threading
import fastpool

with fastpool.Pool(object, close=id) as pool:
    door = type(pool.connection()).__dict__["__enter__"]
    before = sys.getrefcount(pool), sys.getrefcount(door)
    more = [pool] * 100 + [door] * 100
    leases = [pool.connection() for _ in range(100)]
    assert (sys.getrefcount(pool), sys.getrefcount(door)) == before, "counted"
    assert sys.getrefcount(more) < 10
"""
    )


def test_a_closed_pool_keeps_its_own_memory_and_no_connection() -> None:
    """Nothing frees the pool itself (decision 16): what it may keep is bounded, whatever was opened in it."""
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
