"""Regressions of other pools that cannot be written as a sequence of steps."""

import asyncio
import gc
import time

import fastpool
from fastpool import NoConnectionsAvailable
from tests.pool.fake_driver import Holder, Plain, Run, balanced, holding, serves, until


def test_a_return_at_the_instant_of_a_timeout():
    """SQLAlchemy test_timeout_race, psycopg test_cancelled_waiter_assigned_conn_is_reclaimed: repeated until return and
    timeout coincide. In every case the connection goes to the waiter, or to the next in line."""
    pool = Plain().pool(max_size=1, timeout=None)
    served = late = 0
    for n in range(150):
        holder = Holder(pool)
        holder.got()
        waits = pool.stats().waits
        began = time.monotonic()
        hasty = Run(pool.checkout, 0.003)
        until(lambda waits=waits: pool.stats().waits > waits, "the hasty one having stood in line")
        patient = Run(pool.checkout)
        instant = began + 0.003 + (n % 30 - 10) * 0.00003
        while time.monotonic() < instant:
            pass
        holder.end()
        try:
            pool.checkin(hasty.result())
            served += 1
        except NoConnectionsAvailable as error:
            assert error.waited >= 0.003
            late += 1
        pool.checkin(patient.result())
    assert served + late == 150
    stats = balanced(pool)
    assert (stats.timeouts, stats.connects) == (late, 1)
    assert stats.checkouts == 150 + served + 150


def test_thousands_of_timed_out_waiters_slow_no_return():
    """Vitess#20308: a return looked at each waiter whose time was over. Here a return with thousands of such waiters
    costs no more than any other, because they have left the line."""

    class Connection:
        pass

    async def main():
        pool = fastpool.AsyncPool(Connection, max_size=1, timeout=None)
        c = await pool.checkout()
        hasty = [asyncio.ensure_future(pool.checkout(timeout=0.05)) for _ in range(3_000)]
        patient = asyncio.ensure_future(pool.checkout())
        while pool.stats().waits < 3_001:
            await asyncio.sleep(0)
        outcomes = await asyncio.gather(*hasty, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {NoConnectionsAvailable}
        assert pool.stats().waiting == 1
        gc.disable()
        began = time.thread_time()  # of this thread's work, however busy the machine is
        pool.checkin(c)
        took = time.thread_time() - began
        gc.enable()
        assert await patient is c
        pool.checkin(c)
        stats = pool.stats()
        assert (stats.timeouts, stats.waiting, stats.idle) == (3_000, 0, 1)
        await pool.close()
        return took

    assert asyncio.run(main()) < 0.01


def test_the_wall_clock_has_no_effect(monkeypatch):
    """HikariCP tests a clock that goes back; SQLAlchemy's recycle reads the wall clock."""
    driver = Plain()
    pool = driver.pool(max_size=2, max_lifetime=1000, idle_timeout=1000, keepalive=1000, backoff=(10, 10))
    serves(pool, 2)
    wall = time.time()
    for jump in (-86400 * 365, 86400 * 365):
        monkeypatch.setattr(time, "time", lambda jump=jump: wall + jump)
        monkeypatch.setattr(time, "time_ns", lambda jump=jump: int((wall + jump) * 1e9))
        serves(pool, 2)
        with holding(pool, 2):
            try:
                pool.checkout(timeout=0.02)
            except NoConnectionsAvailable as error:
                assert 0.02 <= error.waited < 10
        assert len(driver.made) == 2
    assert sum(balanced(pool).closed.values()) == 0
    pool.close()
