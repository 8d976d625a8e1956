"""A lease as a decorator, as contextlib's context managers are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from .._light.calls import is_coroutine_function
from .._light.hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import ParamSpec, TypeVar

    _P = ParamSpec("_P")
    _R = TypeVar("_R")


def leased(lease: Callable[[], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``function`` so that every call of it runs inside a lease of its own, which ``lease()`` makes."""
    if is_coroutine_function(function):
        raise TypeError(
            f"{function!r} is a coroutine function: its body would run after the lease; "
            "use `async with pool.aconnection()` inside it"
        )

    @wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        with lease():
            return function(*args, **kwargs)

    return inner


def leased_task(lease: Callable[[], Any], function: Callable[_P, Awaitable[_R]]) -> Callable[_P, Awaitable[_R]]:
    """Wrap a coroutine function so that every call of it runs inside a lease of its own, which ``lease()`` makes."""

    @wraps(function)
    async def inner(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        async with lease():
            return await function(*args, **kwargs)

    return inner
