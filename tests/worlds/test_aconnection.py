"""aconnection(): what a task's lease on a synchronous pool does in the loop's thread, and what never."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import fastpool
from fastpool.testing import VirtualClock

from ._told import Told


@pytest.mark.parametrize("why", ["max_uses", "lifetime", "max_idle", "discarded", "cleared", "closed", "error"])
def test_aconnection_closes_in_a_thread_whatever_it_closes_for(why: str) -> None:
    options: dict[str, Any] = {
        "max_uses": {"max_uses": 1},
        "lifetime": {"max_lifetime": 60, "timing": True},
        "max_idle": {"max_idle": 0},
    }
    pool = fastpool.Pool(Told, max_size=2, **options.get(why, {}))

    async def main(stopped: VirtualClock | None) -> None:
        lease = pool.aconnection()
        try:
            async with lease as c:
                if why == "discarded":
                    lease.discard()
                elif why == "cleared":
                    pool.clear()
                elif why == "closed":
                    pool.close()
                elif why == "lifetime":
                    assert stopped is not None
                    stopped.advance(60)
                elif why == "error":
                    raise KeyError
        except KeyError:
            assert why == "error"
        assert c.closed and c.closed_in != threading.get_ident()
        assert pool.stats().closed[why] == 1

    if why == "lifetime":
        with VirtualClock() as stopped:
            asyncio.run(main(stopped))
    else:
        asyncio.run(main(None))
    pool.close()


def test_aconnection_that_keeps_its_connection_takes_no_thread() -> None:
    pool = fastpool.Pool(Told, max_size=1, max_uses=9, max_lifetime=600, max_idle=1)

    async def main() -> None:
        async with pool.aconnection():
            pass
        loop = asyncio.get_running_loop()
        loop.run_in_executor = None  # type: ignore[assignment,method-assign]
        for _ in range(3):
            async with pool.aconnection():
                pass
        del loop.run_in_executor

    asyncio.run(main())
    pool.close()
