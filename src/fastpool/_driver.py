"""The functions that a pool needs for a kind of connection.

No lock is held, and the slot has one owner, while any of these methods runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ._errors import NoConnectionsAvailable, PoolClosed, PoolDeadlock, PoolOverloaded
from ._light.calls import takes_timeout
from ._light.hints import TYPE_CHECKING, Any, C, Generic

if TYPE_CHECKING:
    from ._core import Entry


class Driver(Generic[C]):
    """How one kind of connection is opened, checked, reset and closed; override what differs.

    ``class MyDriver(fastpool.Driver[MyConnection])`` tells a type checker what a pool of it gives; without the
    parameter that is Any. A :class:`fastpool.AsyncPool` awaits what ``connect``, ``check``, ``reset`` and ``close``
    return.

    Only :meth:`connect` has no default. ``server`` is what ``servers`` gave, or None without servers;
    ``timeout`` the seconds that this checkout has left, None meaning no limit.
    """

    # True for a driver whose connections report their calls to the slot's entry: what they report there then decides
    # whether a connection is fit for the next caller, whatever exception left the block.
    tracks_calls: bool = False
    exhausted_error: type[NoConnectionsAvailable] = NoConnectionsAvailable
    deadlock_error: type[PoolDeadlock] = PoolDeadlock
    closed_error: type[PoolClosed] = PoolClosed
    overloaded_error: type[PoolOverloaded] = PoolOverloaded
    exhausted_message: str | None = None  # how the error of an exhausted pool begins; None: with the pool's name
    size_option: str = "max_size"  # what that error advises to raise, by the name under which the size was given
    # How often one connect may ask each of the servers before it fails. From the second round on even those are asked
    # that are left alone because they refused lately, after a tenth of a second at most.
    rounds: int = 1

    def connect(self, server: Any, timeout: float | None) -> C | Awaitable[C]:
        """Open a connection and return it; whatever this raises is what the caller of the checkout sees."""
        raise TypeError(f"{type(self).__name__} does not say how to connect: override connect(server, timeout)")

    def close(self, c: C) -> Any:
        """End ``c``. What this raises is logged and no one else's business."""
        close = getattr(c, "close", None)
        return None if close is None else close()

    def check(self, c: C, timeout: float | None) -> bool | Awaitable[bool]:
        """Say whether ``c`` still works; may do I/O, for ``timeout`` seconds at most. Raising means: dead."""
        return True

    def ping(self, c: C, timeout: float | None) -> bool | Awaitable[bool]:
        """Like :meth:`check`, for ``keepalive``: override this if ``check`` sends nothing that the server counts."""
        return self.check(c, timeout)

    def reset(self, c: C) -> Any:
        """Make ``c`` fit for the next caller; if this raises, the connection is discarded."""

    def is_clean(self, c: C) -> bool:
        """Say whether a block that ended without an exception left ``c`` as it found it: nothing is to be done then.

        Asked only of a driver that overrides :meth:`end_block`, and must not do I/O; True means :meth:`is_reset`, too.
        """
        return False

    def is_reset(self, c: C) -> bool:
        """Say whether :meth:`reset` has nothing to do on ``c``, so that it need not be called; must not do I/O."""
        return False

    def end_block(self, c: C, exc: BaseException | None) -> Any:
        """End what the block began on ``c``, before that is returned: commit, or roll back because of ``exc``.

        What this raises is what the block's caller sees. Not called for a nested block, nor after a checkout by hand.
        With both, :meth:`reset` decides whether ``c`` can be used again after an exception; :meth:`usable` is asked
        only about a nested block's. Without a reset, :meth:`usable` decides, as elsewhere.
        """

    def fileno(self, c: C) -> int:
        """Give the descriptor for the probe that reads nothing, -1 for none; raising means: dead."""
        fileno = getattr(c, "fileno", None)
        if fileno is None:
            return -1
        fd = fileno()
        if not isinstance(fd, int):
            return -1
        if fd < 0:
            raise ValueError(f"{c!r} has been closed: its descriptor is {fd}")
        return fd

    def usable(self, c: C, exc: BaseException) -> bool:
        """Say whether ``c`` may be used again after its block ended with ``exc``."""
        return False

    def blames_server(self, error: Exception) -> bool:
        """Say whether the ``error`` of a connect is the server's fault, so that another server may do better.

        If not (wrong credentials …), the error is the caller's at once, and the server is not left alone for it.
        """
        return True

    def none_left(self, error: BaseException) -> BaseException:
        """Give the error to raise when no server gave a connection.

        ``error``: the only server's own, or AllServersUnavailable, whose ``__cause__`` is the last server's.
        """
        return error

    def abandon(self, c: C) -> None:
        """Forget ``c`` in a forked child, without a word on the wire: the parent goes on using it."""

    def awaited(self) -> Driver[Any]:
        """Give the driver to use in an AsyncPool: another one where the library has asynchronous connections."""
        return self

    def close_without_loop(self, c: C) -> None:
        """End ``c``, which an AsyncPool opened in an event loop that is closed; must not await, nor raise."""

    # What the pool calls; a driver that works with the slot's entry (the guarded happybase connection) overrides these.

    def open_entry(self, entry: Entry, server: Any, timeout: float | None) -> Any:
        """Open the connection of ``entry``; the default ignores the entry."""
        return self.connect(server, timeout)


class CallableDriver(Driver[Any]):
    """A driver made of the callables that ``Pool(connect, close=…, check=…)`` was given."""

    def __init__(
        self,
        connect: Callable[..., Any],
        *,
        close: Callable[[Any], Any] | None = None,
        check: Callable[..., bool] | None = None,
        reset: Callable[[Any], Any] | None = None,
        fileno: Callable[[Any], int] | None = None,
        keep_on: tuple[type[BaseException], ...] = (),
        with_server: bool = False,
    ) -> None:
        self._call_connect = _needed(connect, "connect")
        self._call_close = _optional(close, "close")
        self._call_check = _optional(check, "check")
        self._call_reset = _optional(reset, "reset")
        self._call_fileno = _optional(fileno, "fileno")
        self.keep_on = _exceptions(keep_on)
        self._with_server = with_server
        self._connect_in = takes_timeout(connect)
        self._check_in = check is not None and takes_timeout(check)

    def connect(self, server: Any, timeout: float | None) -> Any:
        """Call ``connect`` with what it has parameters for."""
        where = (server,) if self._with_server else ()
        if self._connect_in:
            return self._call_connect(*where, timeout=timeout)
        return self._call_connect(*where)

    def close(self, c: Any) -> Any:
        """Call ``close``, or the connection's own."""
        return super().close(c) if self._call_close is None else self._call_close(c)

    def check(self, c: Any, timeout: float | None) -> Any:
        """Call ``check``; without one every connection passes."""
        if self._call_check is None:
            return True
        return self._call_check(c, timeout=timeout) if self._check_in else self._call_check(c)

    def reset(self, c: Any) -> Any:
        """Call ``reset``, if there is one."""
        return None if self._call_reset is None else self._call_reset(c)

    def fileno(self, c: Any) -> int:
        """Call ``fileno``, or the connection's own."""
        return super().fileno(c) if self._call_fileno is None else self._call_fileno(c)

    def usable(self, c: Any, exc: BaseException) -> bool:
        """Only after one of ``keep_on``."""
        return isinstance(exc, self.keep_on)

    @property
    def does(self) -> tuple[bool, bool, bool]:
        """Whether it has a check, a reset and a fileno of its own."""
        return self._call_check is not None, self._call_reset is not None, self._call_fileno is not None


def overrides(driver: Driver) -> tuple[bool, bool, bool]:
    """Whether ``driver`` checks, resets, and gives descriptors by a method of its own."""
    if isinstance(driver, CallableDriver):
        return driver.does
    kind = type(driver)
    checks = kind.check is not Driver.check or kind.ping is not Driver.ping
    return checks, kind.reset is not Driver.reset, kind.fileno is not Driver.fileno


def ends_blocks(driver: Driver) -> bool:
    """Whether ``driver`` has something to do at the end of each block."""
    return type(driver).end_block is not Driver.end_block


def _needed(value: Any, name: str) -> Any:
    if not callable(value):
        raise TypeError(f"{name} must be callable, not {value!r}")
    return value


def _optional(value: Any, name: str) -> Any:
    return None if value is None else _needed(value, name)


def _exceptions(keep_on: Any) -> tuple[type[BaseException], ...]:
    kinds = tuple(keep_on) if isinstance(keep_on, (tuple, list, set, frozenset)) else (keep_on,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"keep_on must be exception classes, not {kind!r}")
    return kinds
