"""The drop-in for poodle: the page's example, and what is broken in the page's class."""

from __future__ import annotations

import asyncio
import pickle
import random
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

import fastpool
from fastpool.adapters.poodle import Pool
from tests.pool.fake_driver import PATIENCE, until


class MockConn:
    """As on the page, but that it keeps what it prints there."""

    made: ClassVar[list[MockConn]] = []

    def __init__(self, name: str, *, mark: str = "") -> None:
        MockConn.made.append(self)
        self.name = name
        self.mark = mark
        self.said: list[str] = []
        self.closed = 0
        self.users = 0

    def __call__(self, *parts: str) -> None:
        self.said.append("".join(parts))

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def made() -> Iterator[list[MockConn]]:
    MockConn.made.clear()
    yield MockConn.made


class MockThread(threading.Thread):
    """As on the page: gets a connection, takes its time, and says hello on it. It also notices if it is not alone."""

    def __init__(self, pool: Pool, name: str, seconds: float, all_here: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self.pool = pool
        self.name = name
        self.seconds = seconds
        self.all_here = all_here
        self.alone = self.well = False

    def run(self) -> None:
        with self.pool.get() as conn:
            conn.users += 1
            self.all_here.wait(PATIENCE)  # on the page they come one after another
            self.alone = conn.users == 1
            time.sleep(self.seconds)
            conn.users -= 1
            conn(self.name, " hello world")
        self.well = True


def test_the_pages_example(made: list[MockConn]) -> None:
    together = threading.Barrier(10)
    tp = Pool(MockConn, ["eric"], min=0)
    workers = [MockThread(tp, str(x), random.uniform(0, 0.05), together) for x in range(10)]
    for w in workers:
        w.start()
    for w in workers:
        w.join(PATIENCE)
    assert all(w.well and w.alone for w in workers)
    assert sorted(line for conn in made for line in conn.said) == [f"{x} hello world" for x in range(10)]
    assert {conn.name for conn in made} == {"eric"} and len(made) == len(tp) == 10
    tp.close()


def test_min_are_opened_at_once(made: list[MockConn]) -> None:
    """On the page `min` above 0 is an AttributeError."""
    with Pool(MockConn, ["eric"], {"mark": "x"}) as pool:
        assert (len(pool), [(c.name, c.mark) for c in made]) == (5, [("eric", "x")] * 5)
    with Pool(MockConn, ["eric"], min=2) as pool:
        assert len(pool) == 2


def test_a_failing_factory_fails_the_constructor_and_leaves_nothing_open(made: list[MockConn]) -> None:
    def factory() -> MockConn:
        if len(made) == 2:
            raise OSError("no more")
        return MockConn("eric")

    with pytest.raises(OSError, match="no more"):
        Pool(factory)
    assert [c.closed for c in made] == [1, 1]


def test_one_per_thread_and_nested_blocks_share() -> None:
    """On the page a nested block waits for ever."""
    with Pool(MockConn, ["eric"], min=1) as pool, pool.get() as a, pool.get() as again:
        others: list[Any] = []

        def other() -> None:
            with pool.get() as c:
                others.append(c)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(PATIENCE)
        assert again is a and others and others[0] is not a


def test_an_exception_does_not_lose_the_connection(made: list[MockConn]) -> None:
    """On the page it stays with its thread for ever."""
    with Pool(MockConn, ["eric"], min=0) as pool:
        with pytest.raises(ValueError, match="mine"), pool.get() as a:
            raise ValueError("mine")
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.append(pool.checkout()))
        thread.start()
        thread.join(PATIENCE)
        assert got == [a] and len(made) == 1


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_cleanup_ends_each_connection_once(made: list[MockConn], error: type[BaseException] | None) -> None:
    """On the page the thread gets the connection again that was cleaned up."""
    cleaned: list[MockConn] = []
    with Pool(MockConn, ["eric"], cleanup=cleaned.append, min=2) as pool:
        for turn in range(3):
            try:
                with pool.get() as outer:
                    with pool.get() as inner:
                        pass
                    assert inner is outer and len(cleaned) == turn, "the outermost block's end"
                    if error is not None:
                        raise error
            except BaseException as caught:
                assert type(caught) is error
            assert cleaned[turn:] == [outer]
        assert len(made) == 3 and len(set(cleaned)) == 3 and outer.closed == 0


def test_no_limit_but_max_size(made: list[MockConn]) -> None:
    with Pool(MockConn, ["eric"], min=0) as pool:
        held = [pool.checkout() for _ in range(200)]
        assert len(set(held)) == 200
        for c in held:
            pool.checkin(c)
        assert len(pool) == 200, "what was opened stays"
    with Pool(MockConn, ["eric"], max_size=2) as pool:
        assert len(pool) == 2
        held = [pool.checkout(), pool.checkout()]
        with pytest.raises(fastpool.NoConnectionsAvailable):
            pool.checkout(0)


def test_fastpools_options_and_methods(made: list[MockConn]) -> None:
    told: list[Any] = []
    with Pool(
        MockConn, ["eric"], min=1, max_uses=2, name="poodle", listeners=[{"closed_connection": told.append}]
    ) as pool:
        for _ in range(2):
            with pool.get(timeout=5) as c:
                pass
        until(lambda: told)
        assert (told[0].reason, c.closed, pool.name) == ("max_uses", 1, "poodle")
    with Pool(lambda server, name: MockConn(name, mark=server[0]), ["eric"], min=1, servers=["one.example:1"]) as pool:
        assert made[-1].mark == "one.example"
    with Pool(MockConn, ["eric"], min=1, open=False) as pool:
        assert len(pool) == 1, "`with` opens it"
    assert len(Pool(MockConn, ["eric"], open=False)) == 0


def test_greenlets_and_tasks_are_owners_of_their_own() -> None:
    async def main(pool: Pool) -> None:
        async with pool.aconnection() as a, pool.aconnection() as again:
            assert again is a

            async def other() -> Any:
                async with pool.aconnection() as c:
                    return c

            assert await asyncio.create_task(other()) is not a

    with Pool(MockConn, ["eric"], min=0) as pool:
        asyncio.run(asyncio.wait_for(main(pool), PATIENCE))


def test_a_cleanup_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def cleanup(c: MockConn) -> None:
        raise OSError("stuck")

    with Pool(MockConn, ["eric"], cleanup=cleanup, min=0) as pool, pool.get():
        pass
    assert "OSError: stuck" in caplog.text and len(pool) == 0


def test_a_pool_travels_as_its_arguments() -> None:
    with Pool(MockConn, ["eric"], min=1) as pool:
        data = pickle.dumps(pool)
        assert pickle.loads(data) is pool
    with pickle.loads(data) as there:
        assert there is not pool and len(there) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"factory": 3}, TypeError, "factory must be a callable that makes a connection, not 3"),
        ({"args": "eric"}, TypeError, "args must be a list or tuple of arguments for the factory, not 'eric'"),
        ({"args": 3}, TypeError, "args must be a list or tuple"),
        ({"kwargs": ["name"]}, TypeError, "kwargs must be a dict of arguments for the factory, not"),
        ({"cleanup": 3}, TypeError, "cleanup must be callable, or None, not 3"),
        ({"min": -1}, ValueError, "min must be 0 or more, not -1"),
        ({"min": "5"}, TypeError, "min must be an integer, not '5'"),
        ({"min": 5, "max_size": 4}, ValueError, r"min must be at most max_size \(4\), not 5"),
        ({"max_size": 0}, ValueError, "max_size must be from 1 to 65535, not 0"),
        ({"cleanup": print, "max_uses": 2}, ValueError, "max_uses must be 1 with a cleanup"),
        ({"sizes": 3}, TypeError, "unknown option 'sizes'"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Pool(**{"factory": MockConn, **arguments})
