"""Storms of raising alarms for the functions of fastpool.testing: an interrupted test hangs no server and no proxy.

Since CPython 3.14 such a handler can run between a lock's ``__enter__`` and its block; the lock then stays taken.
"""

from __future__ import annotations

import ast
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ._scripts import ROOT, run_case

CALLS = ("hold", "misbehave", "slow", "drop", "order", "ask")
LOCKS = {"Lock", "RLock", "Condition", "Event", "Semaphore", "BoundedSemaphore", "Barrier"}
SOURCES = [path for path in sorted((ROOT / "src/fastpool").rglob("*.py")) if path.parent.name != "compare"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers on this system")
@pytest.mark.parametrize("call", CALLS)
def test_after_a_storm_of_raising_alarms_everybody_is_served(call: str) -> None:
    pytest.importorskip("happybase")
    run_case(Path(__file__).with_name("_testing_storm.py"), call)


def open_to_a_strike(source: str) -> Iterator[str]:
    """Blocks that hold a lock, and the classes of threading with such blocks inside."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                name = ast.unparse(item.context_expr)
                if name.lower().endswith(("lock", "condition", "_changed", "mutex")) and "(" not in name:
                    yield f"line {node.lineno}: with {name}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {f"threading.{name}" for name in LOCKS}:
            yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.skipif(not SOURCES, reason="the tests run without the sources")
def test_no_python_code_holds_a_lock_that_a_handler_can_leave_taken() -> None:
    found = {str(path.relative_to(ROOT)): list(open_to_a_strike(path.read_text("utf-8"))) for path in SOURCES}
    # `News` has one lock per waiter, which is never held over a block.
    assert [line.partition(": ")[2] for line in found.pop("src/fastpool/testing/news.py")] == ["threading.Lock()"]
    # redis-py's own code holds this lock of its pools, and ours only waits for it while redis-py renews a pool.
    redis = {path: found.pop(path) for path in list(found) if path.startswith("src/fastpool/adapters/redis/")}
    assert sorted({line.partition(": ")[2] for lines in redis.values() for line in lines}) == [
        "threading.RLock()", "with pool._lock",
    ]  # fmt: skip
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_the_search_sees_what_it_looks_for() -> None:
    source = "with self._lock:\n    pass\nself.lock = threading.Condition()\nwith open('clock'): pass\n"
    assert len(list(open_to_a_strike(source))) == 2
