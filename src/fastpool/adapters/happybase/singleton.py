"""HappybaseConnectionPool: one pool for the whole process, wherever it is constructed."""

from __future__ import annotations

import os
from typing import Any, Self

from ..._core import Section
from .pool import ConnectionPool

_made: list[tuple[tuple[Any, ...], Any]] = []  # the arguments, and the pool
_one_at_a_time = Section()


def _begin_anew() -> None:
    """In a forked child: a thread of the parent may have held the lock."""
    global _one_at_a_time
    _one_at_a_time = Section()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


class HappybaseConnectionPool(ConnectionPool):
    """A pool of happybase connections by its arguments: the same arguments give the same object, in every thread.

    ``HappybaseConnectionPool(host, port=9090, max_size=10, **options)``; the options are those of
    :class:`fastpool.ConnectionPool`. ``port`` may be text. Nothing is opened before the first checkout, unless
    ``open=True`` is given. A closed pool is not given again. After a fork the child has the same object, with
    connections of its own.

    TypeError or ValueError for a bad argument.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Return the pool of these arguments, made and set up when they are first given."""
        if not args and not kwargs:
            return super().__new__(cls)  # for pickle, which sets it up itself
        opens = kwargs.pop("open", False)
        pool: Self = _one_at_a_time.run(_of, cls, *_told(*args, **kwargs))
        if opens:
            pool.open()
        return pool

    def __init__(self, host: str, port: int | str = 9090, max_size: int = 10, **options: Any) -> None:
        """Do nothing: `__new__` has set it up."""


def _told(host: str, port: int | str = 9090, max_size: int = 10, **options: Any) -> tuple[Any, ...]:
    if isinstance(port, bool) or not isinstance(port, (int, str)):
        raise TypeError(f"port must be an integer, or text that is one, not {port!r}")
    if isinstance(port, str) and not port.isdecimal():
        raise ValueError(f"port must be an integer, or text that is one, not {port!r}")
    return host, int(port), max_size, options


def _of(cls: Any, host: str, port: int, max_size: int, options: dict[str, Any]) -> Any:
    """The pool of these arguments, made if there is none that is open; called by one thread at a time."""
    told = (cls, host, port, max_size, options)
    _made[:] = [(known, pool) for known, pool in _made if not pool.closed]
    for known, pool in _made:
        if known == told:
            return pool
    pool = cls.__new__(cls)
    ConnectionPool.__init__(pool, max_size, host=host, port=port, open=False, **options)
    _made.append((told, pool))
    return pool
