"""Exceptions that are kept, or raised once more, without what their tracebacks keep alive.

An exception that was raised refers to its traceback, that refers to the frames that it passed through, and those refer
to all their variables. A pool keeps the error of a failed connect for longer than the call, so it keeps a copy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from .._errors import PoolError
from .._light.hints import Any
from .._telemetry.stats import error_text

_DEPTH = 5  # causes of causes: enough to explain, and an end to any cycle
# What exceptions of C types keep outside of `args` and `__dict__`.
_FIELDS = ("errno", "strerror", "filename", "filename2", "winerror", "name", "path")


def without_traceback(error: BaseException, depth: int = _DEPTH) -> BaseException:
    """A copy of ``error`` without a traceback: type, message and attributes, and its causes copied likewise.

    Where a type cannot be copied, a PoolError with its name and message.
    """
    fresh = _again(error, depth)
    fresh.__dict__.update(error.__dict__)
    fresh.__suppress_context__ = error.__suppress_context__
    if depth:
        if error.__cause__ is not None:
            fresh.__cause__ = without_traceback(error.__cause__, depth - 1)
        if error.__context__ is not None and not error.__suppress_context__:
            fresh.__context__ = without_traceback(error.__context__, depth - 1)
    return fresh


def _again(error: BaseException, depth: int) -> BaseException:
    ways: tuple[Callable[[Any], BaseException], ...] = (_without_init, copy.copy)
    if isinstance(error, BaseExceptionGroup):
        ways = (
            lambda group: group.derive(
                [without_traceback(one, depth - 1) for one in group.exceptions] if depth > 0 else ()
            ),
        )
    for again in ways:
        try:
            fresh = again(error)
            if type(fresh) is type(error) and fresh is not error and str(fresh) == str(error):
                return fresh
        except Exception:
            continue
    return PoolError(error_text(error))


def _without_init(error: BaseException) -> BaseException:
    # Given the finished message as its argument, many an __init__ would format it once more.
    kind = type(error)
    fresh = kind.__new__(kind, *error.args)
    fresh.args = error.args
    for name in _FIELDS:
        value = getattr(error, name, None)
        if value is not None and getattr(fresh, name, None) is None:
            setattr(fresh, name, value)
    return fresh
