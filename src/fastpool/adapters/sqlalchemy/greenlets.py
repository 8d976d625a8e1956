"""SQLAlchemy's greenlets, in which its synchronous code runs for asyncio: ``await_`` there awaits in the task."""

from __future__ import annotations

import types
from asyncio import sleep
from collections.abc import Callable, Generator
from typing import Any

from sqlalchemy import exc
from sqlalchemy.util import concurrency

await_: Any = getattr(concurrency, "await_", None) or concurrency.await_only  # its name before SQLAlchemy 2.1


def in_greenlet() -> bool:
    """Whether this is such a greenlet."""
    from greenlet import getcurrent

    return getattr(getcurrent(), "__sqlalchemy_greenlet_provider__", False)


async def spawn(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that awaits by ``await_``.

    A checkout begins in the greenlet of its caller and goes on in the task; a greenlet made in the former would switch
    back to it, and not to the task.
    """
    if in_greenlet():
        await sleep(0)
    return await concurrency.greenlet_spawn(function, *args)


def result_of(checkout: Any) -> Any:
    """Return the result of an awaitable, in such a greenlet; without a switch of greenlets if it is there at once."""
    try:
        awaited = next(checkout)
    except StopIteration as at_once:
        return at_once.value
    try:
        return await_(_rest(checkout, awaited))
    except exc.MissingGreenlet:
        checkout.close()
        raise


@types.coroutine
def _rest(checkout: Any, awaited: Any) -> Generator[Any, Any, Any]:
    """Await what was begun: ``awaited`` is the first thing that it waits for."""
    while True:
        try:
            yield awaited
        except GeneratorExit:
            checkout.close()
            raise
        except BaseException as error:  # a cancellation, as a rule
            try:
                awaited = checkout.throw(error)
            except StopIteration as got:
                return got.value
        else:
            return (yield from checkout)
