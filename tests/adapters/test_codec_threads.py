"""Eight threads on one pool over the codec: each gets what it asked for, with and without the GIL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import fastpool
from fastpool.adapters._thrift.codec import codec
from fastpool.testing import HBaseServer

from .conftest import WIRES

pytestmark = pytest.mark.skipif(codec is None, reason="the codec was not built, or is turned off")

THREADS = 8
TURNS = 12
WITHIN_S = 50


def all_at_once(work: Callable[[int], None]) -> None:
    """Run ``work(i)`` in THREADS threads, which begin together; raise what one of them raised."""
    begin = threading.Barrier(THREADS)
    errors: list[BaseException] = []

    def one(i: int) -> None:
        try:
            begin.wait(WITHIN_S)
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(i,), daemon=True) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_S)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("share", [0.0, 0.3], ids=["on", "refusing"])
@pytest.mark.parametrize("size", [3, THREADS])
@pytest.mark.parametrize(("transport", "protocol"), WIRES)
def test_each_gets_its_own(transport: str, protocol: str, size: int, share: float) -> None:
    with HBaseServer(transport=transport, protocol=protocol) as server:
        wire = {"host": server.host, "port": server.port, "transport": transport, "protocol": protocol}
        with fastpool.ConnectionPool(size, **wire) as pool:
            with pool.connection() as connection:
                connection.create_table("t", {"cf": {}})

            def work(i: int) -> None:
                for turn in range(TURNS):
                    key = b"%d of %d" % (turn, i)
                    cells = {b"cf:%d" % j: b"%d" % (i * 1000 + turn) * j for j in range(1, 9)}
                    with pool.connection(timeout=WITHIN_S) as connection:
                        table = connection.table("t")
                        table.put(key, cells)
                        assert table.row(key) == cells
                        with table.batch() as batch:
                            for j in range(5):
                                batch.put(b"scanned %d %d" % (i, j), {b"cf:a": key})
                        found = list(table.scan(row_prefix=b"scanned %d" % i, batch_size=2))
                        assert found == [(b"scanned %d %d" % (i, j), {b"cf:a": key}) for j in range(5)]
                        assert table.cells(key, b"cf:1") == [cells[b"cf:1"]]
                        assert table.counter_inc(b"counter %d" % i, b"cf:n") == turn + 1

            codec.refuse_at_random(share, 4)
            try:
                all_at_once(work)
            finally:
                codec.refuse_at_random(0)
            assert pool.stats().connects <= size and not any(pool.stats().closed.values())


def test_an_argument_that_another_thread_changes_is_sent_whole_or_not_at_all() -> None:
    """A message says how many elements it has, and has them: the connection stays in step."""
    with HBaseServer() as server, fastpool.ConnectionPool(THREADS, host=server.host, port=server.port) as pool:
        with pool.connection() as connection:
            connection.create_table("t", {"cf": {}})
        columns = [b"cf:%d" % i for i in range(60)]
        cells = dict.fromkeys(columns, b"v")
        users = threading.Semaphore(0)

        def change() -> None:
            for _ in range(THREADS - 1):
                while not users.acquire(blocking=False):
                    columns.append(columns.pop(0))
                    cells[b"cf:x"] = b"w"
                    cells.pop(b"cf:x", None)

        def use() -> None:
            try:
                with pool.connection(timeout=WITHIN_S) as connection:
                    table: Any = connection.table("t")
                    for _ in range(TURNS):
                        for act in (lambda: table.row(b"k", columns), lambda: table.put(b"k", cells)):
                            try:
                                act()
                            except RuntimeError as error:
                                assert "changed size" in str(error)
                        assert connection.client.in_step()
            finally:
                users.release()

        all_at_once(lambda i: use() if i else change())
        assert not any(pool.stats().closed.values())
