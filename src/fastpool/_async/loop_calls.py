"""The calls of a driver whose methods may be coroutine functions, awaited in the running loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .._core import clock
from .._core.time_limit import TimeLimit
from .driver import Loop, LoopDriver, settled, was_cancelled

if TYPE_CHECKING:
    from .._base import BasePool
    from .._core import Checkout


class LoopCalls:
    """The driver's calls of one checkout, awaited in the running loop."""

    __slots__ = ("_driver", "_loop", "_pool")

    def __init__(self, pool: BasePool, loop: Loop) -> None:
        self._pool = pool
        self._driver: LoopDriver = pool.driver
        self._loop = loop

    async def connect(self, checkout: Checkout) -> None:
        """Open within the time that is left: a connect that takes longer is cancelled."""
        pool = self._pool
        try:
            if not checkout.for_others and not pool.was_opened:
                pool._first_use()
            checkout.drop_homeless()
            self._driver.drop_homeless()
            self._driver.loops.add(self._loop)
            began = clock()
            c, server = await pool.connector.aopen(
                checkout.connect_begins(), checkout.seconds_left, pool._leased_by_server, checkout.behind
            )
        except BaseException as error:
            checkout.connect_failed(error)
            raise
        self._driver.homes[id(c)] = (c, self._loop)
        checkout.connected(c, server, clock() - began)

    async def check(self, checkout: Checkout) -> None:
        """Ask the driver's check, within the time that it may take; raising means dead."""
        c, left = checkout.connection, checkout.check_begins()
        well = False
        try:
            async with TimeLimit(left) as limit:
                well = bool(await settled(self._driver.inner.check, c, left))
        except (Exception, asyncio.CancelledError) as error:
            if not isinstance(error, Exception) and was_cancelled():
                raise
            if limit.expired():
                checkout.check_cut_off()
                return
        checkout.checked(well)

    def close(self, c: Any) -> None:
        """Close in the connection's loop, without waiting for it."""
        self._driver.close(c)
