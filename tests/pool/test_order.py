"""``order``: which of the idle connections is handed out."""

from __future__ import annotations

import asyncio
import os

import pytest

import fastpool
from tests.process._scripts import run


class Connection:
    made = 0

    def __init__(self) -> None:
        type(self).made += 1


def filled(order: str, size: int = 3, **options: object) -> tuple[fastpool.Pool, list[Connection]]:
    """A pool with all its connections idle, and these in the order in which they were returned."""
    pool = fastpool.Pool(Connection, max_size=size, order=order, **options)
    all_of_them = [pool.checkout() for _ in range(size)]
    for c in all_of_them:
        pool.checkin(c)
    return pool, all_of_them


def used_in(pool: fastpool.Pool, blocks: int) -> list[Connection]:
    used = []
    for _ in range(blocks):
        with pool.connection() as c:
            used.append(c)
    return used


@pytest.mark.parametrize(
    "options", [{}, {"max_idle": 3}, {"timing": True}, {"reset": lambda c: None}, {"idle_timeout": 60}]
)
def test_fifo_uses_the_connections_in_turn(options):
    """Also on the slow paths, and although this thread has a last connection of its own."""
    pool, (a, b, c) = filled("fifo", **options)
    assert used_in(pool, 7) == [a, b, c, a, b, c, a]
    one = pool.checkout()
    assert one is b
    assert used_in(pool, 3) == [c, a, c]
    pool.checkin(one)
    assert used_in(pool, 3) == [a, c, b]


def test_lifo_uses_the_one_returned_last():
    pool, (_, _, c) = filled("lifo")
    assert used_in(pool, 3) == [c, c, c]


def test_fifo_in_blocks_that_are_awaited():
    async def main():
        pool, (a, b, c) = filled("fifo")
        for expected in (a, b, c, a):
            async with pool.aconnection() as used:
                assert used is expected

    asyncio.run(main())


def test_fifo_opens_no_connection_while_one_is_idle():
    pool = fastpool.Pool(Connection, max_size=5, order="fifo")
    Connection.made = 0
    used_in(pool, 10)
    assert Connection.made == len(pool) == 1


def test_fifo_after_a_change_of_sizes():
    pool, (a, b, c) = filled("fifo")
    pool.resize(max_size=4)
    d = [pool.checkout() for _ in range(4)][-1]
    for one in (d, c, b, a):
        pool.checkin(one)
    assert used_in(pool, 5) == [d, c, b, a, d]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fifo_in_a_forked_child():
    said = run("""
        import os, fastpool
        pool = fastpool.Pool(object, max_size=2, order="fifo")
        def fill():
            two = [pool.checkout(), pool.checkout()]
            for c in two:
                pool.checkin(c)
            return two
        def turn():
            with pool.connection() as c:
                return c
        fill()
        child = os.fork()
        if child == 0:
            a, b = fill()
            os._exit(0 if [turn(), turn(), turn()] == [a, b, a] else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert said.split() == ["0"]


def test_what_order_refuses():
    with pytest.raises(ValueError, match=r"^order must be one of 'lifo', 'fifo', not 'random'"):
        fastpool.Pool(Connection, order="random")
    with pytest.raises(TypeError, match=r"^order must be one of 'lifo', 'fifo', not 1 \(int\)"):
        fastpool.Pool(Connection, order=1)
