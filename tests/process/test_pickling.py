"""A pool is pickled as its configuration: unpickled here, copied, and sent to other processes."""

from __future__ import annotations

import copy
import gc
import importlib.util
import json
import multiprocessing
import os
import pickle
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import fastpool
from fastpool import _registry
from fastpool._core import pools_here
from tests.pool.fake_driver import frees_what_is_dropped, until

from . import _pickled_pools as way
from ._scripts import run

pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded.*fork:DeprecationWarning")
METHODS = multiprocessing.get_all_start_methods()


def sent(pool: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(pool, protocol))


# ---- in one process


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_here_it_is_the_original_while_that_is_open(protocol: int) -> None:
    pool = way.make()
    assert sent(pool, protocol) is pool
    with pool.connection():
        assert sent(pool, protocol) is pool
    assert sent(way.Holder(pool), protocol).pool is pool
    pool.close()
    other = sent(pool, protocol)
    assert other is not pool and not other.closed
    assert sent(pool, protocol) is other, "equal configurations are one pool"
    assert sent(other, protocol) is other
    assert other.config == pool.config and other.name == pool.name
    assert way.use(other)["open"] == 1
    other.close()


def test_of_two_equal_ones_each_is_its_own_original() -> None:
    one, two = way.make(name="twins"), way.make(name="twins")
    assert (sent(one), sent(two)) == (one, two)
    two.close()
    assert sent(two) is one


def test_unpickling_does_not_search_all_closed_pools() -> None:
    """Without the GIL a closed pool is never freed; here the test refers to it."""
    kept = []
    for _ in range(20):
        pool = way.make(name="again and again")
        kept.append(pool)
        pool.close()
        kept.append(sent(pool))
        kept[-1].close()
    assert len(pools_here.named("again and again")) <= 2


def test_a_closed_pool_with_a_lease_is_still_told_of_a_fork() -> None:
    pool = way.make(name="closed, and in use")
    with pool.connection():
        pool.close()
        sent(pool).close()
        assert pool in _registry.everyone()


def test_a_copy_is_the_original() -> None:
    pool = way.make()
    assert copy.copy(pool) is pool
    assert copy.deepcopy(way.Holder(pool)).pool is pool


@frees_what_is_dropped
def test_a_pickle_outlives_its_pool() -> None:
    pool = way.make(max_size=7, servers=["a:1"], name="outlived")
    data, gone = pickle.dumps(pool), weakref.ref(pool)
    del pool
    gc.collect()
    assert gone() is None, "a pickle keeps no pool alive"
    there = pickle.loads(data)
    assert (there.name, there.config.max_size, there.config.servers) == ("outlived", 7, (("a", 1),))
    assert pickle.loads(data) is there
    with there.connection() as c:
        assert c.server == ("a", 1)
    there.close()


@frees_what_is_dropped
def test_those_that_arrived_last_stay_although_nobody_holds_them() -> None:
    """A task brings its pool along, and drops it at its end; the next task must find it with its connections."""
    data = []
    for n in range(_registry._MOST_ARRIVED + 3):
        pool = way.make(name=f"stays-{n}")
        data.append(pickle.dumps(pool))
        pool.close()
    del pool
    before = way.opened
    for one in data * 3:
        way.use(pickle.loads(one))
        way.use(pickle.loads(one))
    gc.collect()
    assert way.opened - before == 3 * len(data), "each was found at once, and forgotten when many others had come"
    for n in (2, 3):
        pickle.loads(data[n]).close()
        assert len(pickle.loads(data[n])) == 0, "what was closed is not found"
    last = pickle.loads(data[-1])
    assert len(last) == 1
    kept = weakref.ref(last)
    last.close()
    del last
    pickle.loads(data[0]).close()
    gc.collect()
    assert kept() is None, "what was closed is not kept"


def test_threads_that_unpickle_one_at_once_get_one_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """All have found none, and make one: none waits for another, and all get the same pool."""
    pool = way.Met(way.Connection, name="met")
    data = pickle.dumps(pool)
    pool.close()
    meeting = threading.Barrier(4)
    monkeypatch.setattr(way.Met, "before", staticmethod(lambda: meeting.wait(20)))
    with ThreadPoolExecutor(4) as threads:
        arrived = set(threads.map(pickle.loads, [data] * 4))
    assert len(arrived) == 1
    one = arrived.pop()
    assert pickle.loads(data) is one
    one.close()


@frees_what_is_dropped
def test_nothing_is_remembered_of_pools_that_are_gone() -> None:
    gc.collect()
    before = len(pools_here), len(_registry._pickled)
    pools = [way.make() for _ in range(50)]
    for pool in pools:
        pickle.dumps(pool)
    assert len(_registry._pickled) == before[1] + 50
    del pools, pool
    gc.collect()
    assert (len(pools_here), len(_registry._pickled)) == before


def test_making_a_pool_costs_the_same_however_many_there_are() -> None:
    """Counted, not timed: each call, of Python or C, is an event."""

    def events() -> int:
        seen = 0

        def count(*_: object) -> None:
            nonlocal seen
            seen += 1

        sys.setprofile(count)
        try:
            way.make()
        finally:
            sys.setprofile(None)
        return seen

    way.make()
    alone = events()
    many = [way.make() for _ in range(1000)]
    assert events() == alone
    assert len(many) == 1000


def test_what_differs_is_another_pool() -> None:
    pools = [way.make(name="p"), way.make(name="p", max_size=3), way.make(name="q"), fastpool.Pool(dict, name="p")]
    pools += [fastpool.Pool(driver=way.Driver(tag), name="p") for tag in "ab"]
    data = [pickle.dumps(pool) for pool in pools]
    for pool in pools:
        pool.close()
    arrived = [pickle.loads(one) for one in data]
    assert len({id(pool) for pool in arrived}) == len(pools)
    assert [pickle.loads(one) for one in data] == arrived
    assert arrived[-1].driver.tag == "b"
    for pool in arrived:
        pool.close()


def test_everything_it_was_made_with_is_pickled() -> None:
    class_, options = fastpool.Pool, {"check_after": 0, "listeners": [way.Told()], "backoff": (1, 2), "timing": True}
    pool = class_(way.Connection, close=way.Connection.close, keep_on=(KeyError,), **options)
    config = pool.config
    pool.close()
    there = sent(pool)
    assert isinstance(there.config.listeners[0], way.Told)
    assert there.config.replaced(listeners=()) == config.replaced(listeners=())
    with pytest.raises(KeyError), there.connection():
        raise KeyError
    assert len(there) == 1, "keep_on has come along"
    with pytest.raises(ValueError, match="x"), there.connection():
        raise ValueError("x")
    assert len(there) == 0
    assert there.stats().hold.count == 2
    there.close()


@pytest.mark.parametrize("part", ["connect", "close", "check", "listeners", "balance"])
def test_what_cannot_be_pickled_is_a_type_error_that_says_so(part: str) -> None:
    parts: dict[str, Any] = {"connect": way.Connection, part: lambda *_: way.Connection()}
    if part == "listeners":
        parts[part] = [{"connected": parts[part]}]
    pool = fastpool.Pool(**parts, name="homely")
    with pytest.raises(TypeError, match=r"pool 'homely' cannot be pickled.*lambda.*use module-level functions"):
        pickle.dumps(pool)
    assert way.use(pool)["open"] == 1


def test_one_that_cannot_be_pickled_does_no_harm() -> None:
    homely = fastpool.Pool(lambda: way.Connection(), name="shared")
    pool = way.make(name="shared")
    pool.close()
    there = sent(pool)
    assert there is not homely and not there.closed
    there.close()


def test_many_at_once_get_one_pool() -> None:
    pool = way.make(name="stormed")
    data = pickle.dumps(pool)
    pool.close()
    for _ in range(20):
        together = threading.Barrier(8)

        def load(together: threading.Barrier = together) -> Any:
            together.wait(20)
            return pickle.loads(data)

        with ThreadPoolExecutor(8) as threads:
            arrived = {future.result() for future in [threads.submit(load) for _ in range(8)]}
        assert len(arrived) == 1
        arrived.pop().close()


def test_it_opens_where_it_arrives_as_it_was_told() -> None:
    for options, count in (({"min_size": 2}, 2), ({"min_size": 2, "open": False}, 0)):
        pool = way.make(**options)
        pool.close()
        there = sent(pool)
        assert len(there) == count
        there.close()


def test_a_pool_of_coroutines() -> None:
    import asyncio

    pool = fastpool.AsyncPool(way.connect_later, max_size=2)
    assert sent(pool) is pool
    asyncio.run(pool.close())
    there = sent(pool)
    assert type(there) is fastpool.AsyncPool and there is not pool

    async def main() -> None:
        async with there, there.connection() as c:
            assert c.pid == os.getpid()

    asyncio.run(main())


# ---- in other processes


@contextmanager
def child(method: str) -> Iterator[Any]:
    """A process that calls what it is sent; it ends with the block."""
    context = multiprocessing.get_context(method)
    (calls, its_calls), (answers, its_answers) = context.Pipe(), context.Pipe()
    process = context.Process(target=way.serve, args=(its_calls, its_answers))
    process.start()

    def ask(work: Any, *args: Any) -> Any:
        calls.send((work, args))
        assert answers.poll(30), "no answer"
        return answers.recv()

    try:
        yield ask
    finally:
        calls.send(None)
        process.join(30)
        assert process.exitcode == 0
        process.close()


@pytest.mark.parametrize("method", METHODS)
def test_in_a_child_equal_configurations_are_one_pool(method: str) -> None:
    pool = way.make(name="pickled")
    twin = way.make(name="pickled")
    before = way.opened
    assert way.use(pool)["opened"] == before + 1
    with child(method) as ask:
        first = ask(way.use, pool)
        assert first["pid"] == first["opened by"] != os.getpid()
        for _ in range(3):
            assert ask(way.use, pool) == first, "the same pool again, and its connection"
        assert ask(way.same, pool, pool) and ask(way.same, pool, way.Holder(pool)) is False
        if method != "fork":  # there both are inherited
            assert ask(way.same, pool, twin), "there is nothing to tell them apart by"
        assert not ask(way.same, pool, way.make(name="another"))
        at_once = ask(way.use_at_once, [pool] * 6)
        assert {one["pool"] for one in at_once} == {first["pool"]}
        assert max(one["open"] for one in at_once) <= 2, "six loads, one pool, and its max_size"
    assert (way.opened, len(pool)) == (before + 1, 1), "the child's connections are not this process's"
    assert way.use(pool)["opened"] == before + 1
    pool.close()
    twin.close()


@pytest.mark.skipif("fork" not in METHODS, reason="no fork on this system")
def test_a_forked_child_has_the_original() -> None:
    pool = way.make(name="inherited")
    way.use(pool)
    way.inherit(pool)
    with child("fork") as ask:
        assert ask(way.is_inherited, pool)
        assert ask(way.use, pool)["opened by"] != os.getpid(), "and connections of its own"


@pytest.mark.parametrize("method", METHODS)
def test_process_pool_executor(method: str) -> None:
    pool = way.make(name="executed")
    way.use(pool)
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as processes:
        done = [future.result(30) for future in [processes.submit(way.use, pool, n) for n in range(40)]]
    assert [one["number"] for one in done] == list(range(40))
    for pid in {one["pid"] for one in done}:
        mine = [one for one in done if one["pid"] == pid]
        assert {one["opened by"] for one in mine} == {pid} != {os.getpid()}
        assert len({one["pool"] for one in mine}) == 1, "one pool for all tasks of a process"
        assert mine[-1]["opened"] - mine[0]["opened"] == 0, "one connection, used again and again"
    assert (len(pool), pool.stats().connects) == (1, 1)
    pool.close()


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="Dask's distributed is not installed")
def test_dask(tmp_path: Path) -> None:
    """A pool captured in a task, and given to one, on a scheduler with two processes of two threads each."""
    out = run(f"from tests.process._pickled_dask import main\nmain({str(tmp_path)!r})", seconds=45)
    told = json.loads(out.splitlines()[-1])
    captured, given = told["captured"], told["given"]
    assert [one["number"] for one in captured] == list(range(60))
    workers = {one["pid"] for one in captured}
    assert len(workers) == 2
    for pid in workers:
        mine = [one for one in captured + given if one["pid"] == pid]
        assert {one["opened by"] for one in mine} == {pid}
        assert len({one["pool"] for one in mine}) == 1, "captured or given: one pool in a process"
        assert max(one["opened"] for one in mine) <= 2, "and its max_size"
    assert told["here"]["opened"] == 1, "this process's pool was used by nobody else"
    until(lambda: not any(lives(pid) for pid in told["processes"]), "every process of Dask's having ended")
    assert not list(Path.cwd().glob("dask-*space"))
