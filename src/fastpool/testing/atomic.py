"""Methods of which one runs at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


def atomic(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a method in the ``section`` of its object."""

    @functools.wraps(method)
    def inner(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        one: Any = args[0]
        result: _R = one.section.run(functools.partial(method, *args, **kwargs))
        return result

    return inner
