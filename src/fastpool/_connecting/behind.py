"""Connects of a synchronous pool that continue after their callers' deadlines, for later callers.

Each keeps the permit of the caller's connect, so there are never more than ``max_connecting``.
"""

from __future__ import annotations

import functools

from .._async.workers import staff_of
from .._core.greenlets import spawner_here
from .._light.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._base import BasePool
    from .._core import Checkout


def do_behind(pool: BasePool, work: Callable[[], None]) -> None:
    """Have ``work`` done by another greenlet of this thread, or else by a thread of the pool's own.

    A socket of gevent's or eventlet's can be used only in the thread that made it. Raises if no thread can be started.
    """
    spawn = spawner_here()
    if spawn is not None:
        spawn(work)
    else:
        staff_of(pool).behind.do(work)


def go_on(pool: BasePool, checkout: Checkout) -> None:
    """Have the checkout's connection opened behind its caller."""
    if pool.closed:
        checkout.dropped()
        return
    work = functools.partial(_connect, pool, checkout)
    try:
        do_behind(pool, work)
    except BaseException as error:
        checkout.dropped()
        if not isinstance(error, Exception):
            raise  # else no thread could be started, and the caller's own error says enough


def _connect(pool: BasePool, checkout: Checkout) -> None:
    try:
        checkout.open_for_others()
    except Exception:
        pass  # it was reported and counted, and each waiter has a deadline of its own
