"""AsyncFastPool: dropped connections, owners, pings, and greenlets."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("aiosqlite")
pytest.importorskip("greenlet")

import sqlalchemy
from sqlalchemy.util import greenlet_spawn

from fastpool.testing import VirtualClock
from tests.pool.fake_driver import PATIENCE

from ._sqlalchemy_aio import ONE, Opened, ask, on, pool_of, run, soon, terminates

__all__ = ["on"]  # a fixture


# ---- dropped connections and holders


@terminates
def test_a_dropped_connection_gives_its_place_back(on: Opened) -> None:
    async def main() -> None:
        async with on.engine(pool_size=1, max_overflow=0, pool_timeout=PATIENCE) as engine:
            c = await engine.connect()
            await c.scalar(ONE)
            with pytest.warns(sqlalchemy.exc.SAWarning, match="garbage collector is trying to clean up"):
                del c
                gc.collect()
            await ask(engine)
            assert on.opened == 2

    run(main)


def test_the_holder_is_the_task_and_not_a_greenlet_that_has_ended(on: Opened, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with on.engine(pool_size=1, max_overflow=0, pool_timeout=1.5) as engine:
            await ask(engine)
            held = await engine.connect()
            lease = pool_of(engine).leases()[0]
            assert (lease.ended, lease.owner.startswith(f"task {asyncio.current_task().get_name()!r}")) == (False, True)  # type: ignore[union-attr]
            with pytest.raises(sqlalchemy.exc.TimeoutError) as caught:
                await engine.connect()
            assert "has ended" not in str(caught.value)
            await held.close()

    caplog.set_level(logging.WARNING, "fastpool")
    run(main)
    assert not caplog.records


# ---- pings


def test_only_idle_connections_are_pinged_where_check_after_is_given(on: Opened) -> None:
    async def main() -> None:
        async with on.engine(pool_size=1, check_after=10) as engine:
            pings = []
            ping = engine.sync_engine.dialect.do_ping

            def note(c: Any) -> bool:
                pings.append(c)
                return ping(c)

            engine.sync_engine.dialect.do_ping = note  # type: ignore[method-assign]
            with VirtualClock() as clock:
                for wait in (0, 5, 11):
                    clock.advance(wait)
                    await ask(engine)
            assert (len(pings), on.opened) == (1, 1)

    run(main)


def test_keepalive_pings_idle_connections_in_their_loop(on: Opened) -> None:
    async def main() -> None:
        async with on.engine(pool_size=1, keepalive=0.05) as engine:
            pings = []
            ping = engine.sync_engine.dialect.do_ping

            def note(c: Any) -> bool:
                pings.append(asyncio.get_running_loop())
                return ping(c)

            engine.sync_engine.dialect.do_ping = note  # type: ignore[method-assign]
            await ask(engine)
            await soon(lambda: len(pings) >= 2)
            assert set(pings) == {asyncio.get_running_loop()}

    run(main)


def test_a_checkout_that_finds_a_connection_does_not_leave_its_greenlet(on: Opened) -> None:
    async def main() -> None:
        async with on.engine(pool_size=1) as engine:
            await ask(engine)
            with pytest.raises(sqlalchemy.exc.AwaitRequired):
                await greenlet_spawn(
                    lambda: pool_of(engine)._do_return_conn(pool_of(engine)._do_get()), _require_await=True
                )

    run(main)
