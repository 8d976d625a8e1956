"""A checkin of an AsyncPool: it never awaits, but a reset that does goes on as a task."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .._core import STEP_CLOSE, STEP_READY, STEP_RESET, loop_of_thread
from .checkout import close_all
from .driver import LoopDriver, settled, was_cancelled

if TYPE_CHECKING:
    from .._base import BasePool
    from .._core import Checkin


def check_in(pool: BasePool, checkin: Checkin) -> asyncio.Future[Any] | None:
    """End a lease; the reset, if it must be awaited, goes on as a task, which is returned. From whatever thread."""
    driver: LoopDriver = pool.driver
    try:
        step = checkin.step()
        if step == STEP_RESET:
            home = driver.homes.get(id(checkin.connection))
            if home is not None and loop_of_thread() is home[1]:
                return driver.run_here(_reset(pool, checkin))
            if home is not None and _hand_over(home[1], pool, checkin):
                return None
            checkin.discard_unreset()
        _finish(pool, checkin)
    except BaseException:
        close_all(pool, driver.close, checkin.failed())
        raise
    return None


def _hand_over(loop: asyncio.AbstractEventLoop, pool: BasePool, checkin: Checkin) -> bool:
    """Have the reset made in the connection's own loop; False: that is closed."""
    try:
        loop.call_soon_threadsafe(_reset_here, pool, checkin)
    except RuntimeError:
        return False
    return True


def _reset_here(pool: BasePool, checkin: Checkin) -> None:
    pool.driver.run_here(_reset(pool, checkin))


async def _reset(pool: BasePool, checkin: Checkin) -> None:
    """Reset before the connection is available again; one that cannot be reset is closed."""
    well = False
    try:
        await settled(pool.driver.inner.reset, checkin.connection)
        well = True
    except (Exception, asyncio.CancelledError) as error:
        if not isinstance(error, Exception) and was_cancelled():
            raise
        pool._log_driver_error("reset", error)
    finally:
        checkin.was_reset(well)
        _finish(pool, checkin)


def _finish(pool: BasePool, checkin: Checkin) -> None:
    """The last steps: the connection is given, or closed."""
    while (step := checkin.step()) != STEP_READY:
        assert step == STEP_CLOSE
        close_all(pool, pool.driver.close, checkin.closing())
