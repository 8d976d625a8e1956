"""``fastpool.adapters.poodle``: a drop-in for the pool of Eric Larson's page; docs/poodle.md lists the differences.

::

    pool = Pool(connect, ["db.example"], min=2)
    with pool.get() as c:
        c.send(b"hello")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from .. import _pool
from .._config import MOST_CONNECTIONS
from .._core import rebind
from .._driver import Driver

if TYPE_CHECKING:
    from .._core import Lease
    from .._options import CommonOptions

__all__ = ["Pool"]


class _Five(int):
    """The type of `min`'s default: a lower max_size replaces it, but contradicts a 5 that was given."""


_DEFAULT_MIN = _Five(5)


class FactoryDriver(Driver[Any]):
    """Makes connections with ``factory(*args, **kwargs)``; ``cleanup`` ends each after its first use."""

    def __init__(
        self,
        factory: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        cleanup: Callable[[Any], object] | None,
        least: int,
    ) -> None:
        self.factory = factory
        self.args = args
        self.kwargs = kwargs
        self.cleanup = cleanup
        self.least = least

    def connect(self, server: Any, timeout: float | None) -> Any:
        """Call the factory; with `servers`, the server is its first argument."""
        return self.factory(*(() if server is None else (server,)), *self.args, **self.kwargs)

    def close(self, c: Any) -> Any:
        """Call the cleanup; without one, the connection's own close() if it has that."""
        return super().close(c) if self.cleanup is None else self.cleanup(c)

    def usable(self, c: Any, exc: BaseException) -> bool:
        """Keep it: the pool cannot know whether an exception has harmed it; with a cleanup it is closed anyway."""
        return True


class Pool(_pool.Pool[Any]):
    """A pool in which each thread has one connection at a time: ``with pool.get() as c:``, nested blocks share it.

    A connection is ``factory(*args, **kwargs)``; ``min`` are opened here. There is no upper limit unless ``max_size``
    is given. ``cleanup(c)``: called once at the end of every outermost block, exception or not, and ``c`` is
    not used again; without it ``c`` goes to the next thread that asks.

    Options of :class:`fastpool.Pool` are taken by their names. TypeError or ValueError for a bad argument.
    """

    driver: FactoryDriver

    def __init__(
        self,
        factory: Callable[..., Any],
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        cleanup: Callable[[Any], object] | None = None,
        min: int = _DEFAULT_MIN,
        *,
        max_size: int = MOST_CONNECTIONS,
        timeout: float | None = None,
        nested: bool = True,
        **options: Unpack[CommonOptions],
    ) -> None:
        if not callable(factory):
            raise TypeError(f"factory must be a callable that makes a connection, not {factory!r}")
        if isinstance(args, (str, bytes)) or not isinstance(args or (), Iterable):
            raise TypeError(f"args must be a list or tuple of arguments for the factory, not {args!r}")
        if not isinstance(kwargs or {}, Mapping):
            raise TypeError(f"kwargs must be a dict of arguments for the factory, not {kwargs!r}")
        if cleanup is not None and not callable(cleanup):
            raise TypeError(f"cleanup must be callable, or None, not {cleanup!r}")
        driver = FactoryDriver(factory, tuple(args or ()), dict(kwargs or {}), cleanup, _least_of(min, max_size))
        given: dict[str, Any] = {**options}
        given.setdefault("max_connecting", max_size)
        if cleanup is not None and given.setdefault("max_uses", 1) != 1:
            raise ValueError(
                f"max_uses must be 1 with a cleanup, which ends the connection after one use, not {given['max_uses']}"
            )
        super().__init__(driver=driver, max_size=max_size, timeout=timeout, nested=nested, **given)

    def _least(self) -> int:
        """Open ``min`` connections with the pool; afterwards only ``min_size`` are kept open."""
        return max(self.config.min_size, self.driver.least)

    if TYPE_CHECKING:

        def get(self, timeout: float | None = ...) -> Lease[Any]: ...

    else:
        get = _pool.Pool.connection


def _least_of(min: Any, max_size: Any) -> int:
    if isinstance(min, bool) or not isinstance(min, int):
        raise TypeError(f"min must be an integer, not {min!r}")
    if min < 0:
        raise ValueError(f"min must be 0 or more, not {min}")
    if isinstance(max_size, int) and min > max_size:
        if min is not _DEFAULT_MIN:
            raise ValueError(f"min must be at most max_size ({max_size}), not {min}")
        return max_size
    return int(min)


rebind(Pool, "get")
