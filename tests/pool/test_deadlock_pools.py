"""A caller whose wait closes a circle over several pools gets PoolDeadlock at once; no other caller does."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import fastpool
from fastpool import NoConnectionsAvailable, Pool, PoolDeadlock
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import Run, balanced, until, waiting
from tests.pool.ordered_owner import Owner


def pools(*sizes: int, **options: Any) -> list[Pool[object]]:
    named = zip("abcdef", sizes, strict=False)
    return [Pool(object, max_size=size, timeout=None, name=name, **options) for name, size in named]


def test_two_threads_take_two_pools_in_different_orders() -> None:
    a, b = pools(1, 1)
    one, two = Owner("one"), Owner("two")
    one.enters(a)
    two.enters(b)
    one.begins(b)
    waiting(b, 1)
    with VirtualClock():  # no time passes: no look around finds it
        two.begins(a)
        error = two.result()
    assert isinstance(error, PoolDeadlock)
    assert str(error).splitlines()[:3] == [
        "pool 'a': this wait closes a circle that nothing can end:",
        "    thread 'two' holds a lease of pool 'b' and waits for pool 'a'",
        "    thread 'one' holds a lease of pool 'a' and waits for pool 'b'",
    ]
    assert "in the same order" in str(error)
    assert (a.stats().waiting, b.stats().waiting) == (0, 1)
    two.leaves()
    assert one.result() == "entered", "the error broke the circle"
    one.ends()
    two.ends()
    balanced(a)
    balanced(b)


def test_it_is_found_although_the_waits_have_time_limits() -> None:
    a, b = pools(1, 1)
    one, two = Owner("one"), Owner("two")
    one.enters(a)
    two.enters(b)
    one.begins(b, timeout=60)
    waiting(b, 1)
    two.begins(a, timeout=60)
    assert isinstance(two.result(), PoolDeadlock)
    two.ends()
    assert one.result() == "entered"
    one.ends()


def test_three_pools_with_several_connections() -> None:
    a, b, c = pools(2, 1, 2)
    owners = [Owner(str(n)) for n in range(4)]
    owners[0].enters(a)
    owners[1].enters(a)
    owners[2].enters(b)
    owners[3].enters(c)
    owners[3].enters(c)
    owners[0].begins(b)
    waiting(b, 1)
    owners[1].begins(c)
    waiting(c, 1)
    owners[2].begins(c)
    waiting(c, 2)
    owners[3].begins(a)
    error = owners[3].result()
    assert isinstance(error, PoolDeadlock)
    assert str(error).splitlines()[1:3] == [
        "    thread '3' holds a lease of pool 'c' and waits for pool 'a'",
        "    thread '1' holds a lease of pool 'a' and waits for pool 'c'",
    ]
    owners[3].leaves()
    assert owners[1].result() == "entered"
    owners[3].leaves()
    assert owners[2].result() == "entered"
    owners[2].leaves()
    owners[2].leaves()
    assert owners[0].result() == "entered"
    for owner in owners:
        owner.ends()


@pytest.mark.parametrize("exit_from_it", ["an idle connection", "room", "a lease by hand", "a holder at work"])
def test_one_way_out_of_the_circle_is_enough(exit_from_it: str) -> None:
    a, b = pools(1, 2)
    one, two, helper = Owner("one"), Owner("two"), Owner("helper")
    one.enters(a)
    two.enters(b)
    by_hand = b.checkout() if exit_from_it == "a lease by hand" else None
    if exit_from_it in ("an idle connection", "a holder at work"):
        helper.enters(b)
    if exit_from_it == "an idle connection":
        helper.leaves()
    one.begins(b)
    if by_hand is not None or helper.blocks:
        waiting(b, 1)
    else:
        assert one.result() == "entered"
        one.leaves()
    two.begins(a)
    waiting(a, 1)
    if by_hand is not None:
        b.checkin(by_hand)
        assert one.result() == "entered"
    elif helper.blocks:
        helper.leaves()
        assert one.result() == "entered"
    one.ends()
    assert two.result() == "entered"
    two.ends()
    helper.ends()


def test_a_connection_that_is_being_opened_is_a_way_out() -> None:
    going = threading.Event()
    a = Pool(object, max_size=1, timeout=None)
    b = Pool(lambda: (going.wait(20), object())[1], max_size=1, timeout=None)
    one, opener = Owner("one"), Owner("opener")
    one.enters(a)
    opener.begins(b)
    until(lambda: b.stats().connecting == 1, "connecting")
    one.begins(b)
    waiting(b, 1)
    last = Owner("last")
    last.begins(a)
    waiting(a, 1)
    going.set()
    assert opener.result() == "entered"
    opener.ends()
    assert one.result() == "entered"
    one.ends()
    assert last.result() == "entered"
    last.ends()


def test_a_caller_outside_the_circle_is_not_told() -> None:
    """The caller that closes the circle is, and that ends the outsider's wait as well."""
    a, b = pools(1, 1)
    one, two, outsider = Owner("one"), Owner("two"), Owner("outsider")
    one.enters(a)
    two.enters(b)
    one.begins(b)
    waiting(b, 1)
    outsider.begins(a)
    waiting(a, 1)
    two.begins(a)
    assert isinstance(two.result(), PoolDeadlock)
    two.ends()
    assert one.result() == "entered"
    one.ends()
    assert outsider.result() == "entered"
    outsider.ends()


def test_a_wait_that_timed_out_counts_no_longer() -> None:
    a, b = pools(1, 1)
    one, two = Owner("one"), Owner("two")
    one.enters(a)
    two.enters(b)
    one.begins(b, timeout=0.01)
    error = one.result()
    assert isinstance(error, NoConnectionsAvailable)
    assert not isinstance(error, PoolDeadlock)
    two.begins(a)
    waiting(a, 1)
    one.ends()
    assert two.result() == "entered"
    two.ends()


def test_a_task_and_a_thread() -> None:
    """The task's loop runs on while it waits, so it does not wait as its thread does."""
    a, b = pools(1, 1)
    thread = Owner("thread")
    thread.enters(b)

    async def main() -> PoolDeadlock:
        async def first() -> None:
            async with a.aconnection():
                inside.set()
                async with b.aconnection():
                    pass

        inside = asyncio.Event()
        task = asyncio.create_task(first(), name="first")
        await inside.wait()
        while b.stats().waiting != 1:
            await asyncio.sleep(0.001)
        thread.begins(a)
        error = await asyncio.to_thread(thread.result)
        thread.leaves()
        await task
        return error

    error = asyncio.run(main())
    assert isinstance(error, PoolDeadlock)
    assert str(error).splitlines()[1].endswith("thread 'thread' holds a lease of pool 'b' and waits for pool 'a'")
    assert str(error).splitlines()[2].startswith("    task 'first' in thread 'MainThread' holds a lease of pool 'a'")
    thread.ends()


def test_tasks_over_async_pools() -> None:
    async def main() -> list[object]:
        async def connect() -> object:
            return object()

        def made(name: str) -> fastpool.AsyncPool[object]:
            return fastpool.AsyncPool(connect, max_size=1, timeout=None, name=name)

        both = asyncio.Barrier(2)

        async def take(first: fastpool.AsyncPool[object], second: fastpool.AsyncPool[object]) -> str:
            async with first.connection():
                await both.wait()
                try:
                    async with second.connection():
                        return "entered"
                except PoolDeadlock as error:
                    return str(error)

        async with made("a") as a, made("b") as b:
            return await asyncio.gather(take(a, b), take(b, a))

    said = asyncio.run(main())
    assert said.count("entered") == 1
    [told] = [one for one in said if one != "entered"]
    assert "holds a lease of pool 'a' and waits for pool 'b'" in str(told)
    assert "holds a lease of pool 'b' and waits for pool 'a'" in str(told)


def test_a_thread_that_sleeps_keeps_its_tasks_from_going_on() -> None:
    a, b = pools(1, 1)
    other = Owner("other")
    other.enters(b)

    def closes_the_circle() -> Any:
        waiting(b, 1)
        other.begins(a)
        error = other.result()
        other.ends()
        return error

    async def main() -> Any:
        async with a.aconnection():
            run = Run(closes_the_circle)
            with b.connection():  # in the loop's own thread
                pass
            return run.result()

    assert isinstance(asyncio.run(main()), PoolDeadlock)
