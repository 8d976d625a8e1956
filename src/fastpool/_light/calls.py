"""Facts about a callable, read without calling it. `inspect` is slow to import, so only the rest is left to it."""

from __future__ import annotations

from functools import partial
from types import FunctionType, MethodType

from .hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE


def takes_timeout(function: Callable[..., Any]) -> bool:
    """Whether it has a parameter ``timeout`` that can be given by name; False if it cannot be inspected."""
    names = _names(function, 0)
    if names is not None:
        return "timeout" in names
    import inspect

    try:
        parameter = inspect.signature(function).parameters.get("timeout")
    except (TypeError, ValueError):
        return False
    return parameter is not None and parameter.kind is not inspect.Parameter.POSITIONAL_ONLY


def is_coroutine_function(function: Any) -> bool:
    """Like `inspect.iscoroutinefunction`, which is called only for callables that are marked as one."""
    plain = function
    while isinstance(plain, (MethodType, partial)):
        plain = plain.__func__ if isinstance(plain, MethodType) else plain.func
    flags = getattr(getattr(plain, "__code__", None), "co_flags", 0)
    if isinstance(flags, int) and flags & _CO_COROUTINE:
        return True
    if not hasattr(plain, "_is_coroutine_marker"):
        return False
    import inspect

    return inspect.iscoroutinefunction(function)


def _names(function: Any, filled: int) -> tuple[str, ...] | None:
    """The names of the arguments that can follow this many positional ones; None: `inspect` must say."""
    if type(function) is MethodType:
        return _names(function.__func__, filled + 1)
    if type(function) is partial and not function.__dict__ and not _leaves_some_out(function.args):
        return _names(function.func, filled + len(function.args))
    if type(function) is FunctionType:
        if "__wrapped__" in function.__dict__ or "__signature__" in function.__dict__:
            return None
        code = function.__code__
        first = min(max(code.co_posonlyargcount, filled), code.co_argcount)
        return code.co_varnames[first : code.co_argcount + code.co_kwonlyargcount]
    if type(function) is type:
        return _names_of_class(function, filled)
    return None


def _names_of_class(cls: type, filled: int) -> tuple[str, ...] | None:
    made, new = getattr(cls, "__init__", None), getattr(cls, "__new__", None)
    if new is not object.__new__ or hasattr(cls, "__signature__"):
        return None
    if made is object.__init__:
        return ()
    return _names(made, filled + 1) if type(made) is FunctionType else None


def _leaves_some_out(args: tuple[Any, ...]) -> bool:
    """Since 3.14 a partial may leave out arguments in the middle."""
    return any(type(argument).__name__ == "_PlaceholderType" for argument in args)
