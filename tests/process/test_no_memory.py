"""Memory runs out at each allocation of a block in turn: no slot is lost, whatever error the caller gets."""

from __future__ import annotations

import pytest

from ._scripts import run

pytest.importorskip("_testcapi", reason="a Python without its own tests' module cannot run out of memory on purpose")

# Blocks only, and none that finds the pool exhausted: CPython itself frees a generator's code once too often when there
# is no memory for the generator, and building the error of an exhausted pool uses some. Without the GIL it frees the
# items of a list once too often when there is no memory for another one (python/cpython#152125): then two connections
# could have equal ids, so all connections are kept alive there.
PROGRAM = """
import logging, sys, _testcapi, fastpool
logging.getLogger("fastpool").addHandler(logging.NullHandler())

with_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
kept = []

class Connection:
    def __init__(self):
        if not with_gil:
            kept.append(self)

    def close(self):
        pass

def block():
    with pool.connection():
        pass

for options in {}, {"max_uses": 1}, {"max_idle": 0}, {"reset": lambda c: None}:
    pool = fastpool.Pool(Connection, max_size=2, timeout=0, **options)
    refused = 0
    for n in [*range(100)] * 2:
        _testcapi.set_nomemory(n, n + 1)
        try:
            block()
        except MemoryError:
            refused += 1
        finally:
            _testcapi.remove_mem_hooks()
        s = pool.stats()
        assert (s.leased, s.connecting, s.waiting, s.size) == (0, 0, 0, s.idle), (options, n, s)
        if n == 99:
            pool.clear()
    assert refused > 10
    with pool.connection(), pool.connection():
        pass
print("well")
"""


def test_no_slot_is_lost() -> None:
    assert run(PROGRAM).strip().endswith("well")
