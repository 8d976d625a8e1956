"""A checkout that gets nothing ends at its deadline: never earlier, and at most milliseconds later, in every kind of
wait."""

import asyncio
import importlib.util
import time

import pytest

from fastpool import AsyncPool, NoConnectionsAvailable, Pool
from tests.pool.fake_driver import Run

TRIES = 8
SECONDS = 0.03
LATE = 0.010  # of the fastest try: a busy machine delays some of them


class Connection:
    pass


def enough(took):
    """Whether there were enough tries; more are made where a busy machine delayed all of them."""
    return len(took) >= TRIES and (min(took) < SECONDS + LATE or len(took) >= 10 * TRIES)


def in_the_main_thread():
    pool = Pool(Connection, max_size=1)
    held = pool.checkout()  # without a reference the pool would take it back
    took = []
    while not enough(took):
        took.append(one_try(pool))
    pool.checkin(held)
    return took


def one_try(pool):
    began = time.monotonic()
    with pytest.raises(NoConnectionsAvailable):
        pool.checkout(timeout=SECONDS)
    return time.monotonic() - began


def in_a_thread():
    return Run(in_the_main_thread).result()


def in_a_task():
    return asyncio.run(tries(AsyncPool))


def in_a_task_of_a_synchronous_pool():
    return asyncio.run(tries(Pool))


async def tries(kind):
    pool = kind(Connection, max_size=1)
    took = []
    async with pool.aconnection():
        while not enough(took):
            # in another task: a task that holds the only connection would get PoolDeadlock at once
            took.append(await asyncio.ensure_future(one_try_of_a_task(pool)))
    return took


async def one_try_of_a_task(pool):
    began = time.monotonic()
    with pytest.raises(NoConnectionsAvailable):
        async with pool.aconnection(timeout=SECONDS):
            pass
    return time.monotonic() - began


def in_a_greenlet():
    if importlib.util.find_spec("gevent") is None:
        pytest.skip("gevent is not installed")

    def thread_with_a_hub():  # in a thread of its own: the main thread of the tests must not get a hub
        import gevent

        greenlet = gevent.spawn(in_the_main_thread)
        greenlet.join()
        gevent.get_hub().destroy()
        return greenlet.get()

    return Run(thread_with_a_hub).result()


@pytest.mark.parametrize(
    "how", [in_the_main_thread, in_a_thread, in_a_task, in_a_task_of_a_synchronous_pool, in_a_greenlet]
)
def test_hardly_late_and_never_early(how):
    took = how()
    assert min(took) >= SECONDS
    assert min(took) < SECONDS + LATE
