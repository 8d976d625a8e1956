"""The driver for steady connections: opens, checks and resets them, and keeps the arguments of the pool."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..._driver import Driver
from ...drivers import _modules as modules
from .creator import PING_FETCHED
from .errors import NotSupportedError, PoolClosed, PoolDeadlock, PoolOverloaded, TooManyConnectionsError
from .sharing import Sharing
from .steady import SteadyDBConnection

if TYPE_CHECKING:
    from ..._core import Entry

_OF_THIS_PROCESS = {"entries", "opens_idle", "sharing"}


class SteadyDriver(Driver[SteadyDBConnection]):
    """Opens steady connections; its attributes are the arguments of PooledDB."""

    exhausted_error = TooManyConnectionsError
    deadlock_error = PoolDeadlock
    closed_error = PoolClosed
    overloaded_error = PoolOverloaded

    def __init__(self, creator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], **given: Any) -> None:
        self.creator = creator
        self.args, self.kwargs = args, kwargs
        self.maxusage: int | None = given["maxusage"]
        self.setsession: Any = given["setsession"]
        self.rolls_back: Any = given["reset"]
        self.failures: Any = given["failures"]
        self.ping_when: Any = given["ping"]
        self.isfatal: Callable[[BaseException], Any] | None = given["isfatal"]
        self.mincached: int = given["mincached"]
        self.maxshared: int = given["maxshared"]
        self.maxconnections: int = given["maxconnections"]
        self.blocking: Any = given["blocking"]
        self.begin()

    def begin(self) -> None:
        """Set the state of this process."""
        self.opens_idle = False  # what is opened goes to the idle ones
        self.entries: dict[int, Entry] = {}
        self.sharing = Sharing(self.maxshared)

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name not in _OF_THIS_PROCESS}
        if isinstance(self.creator, ModuleType):
            state["creator"] = modules.Named(self.creator.__name__)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if isinstance(self.creator, modules.Named):
            self.creator = import_module(self.creator.name)
        self.begin()

    # ---- the pool's calls --------------------------------------------------------------------------------------------

    def open_entry(self, entry: Entry, server: Any, timeout: float | None) -> SteadyDBConnection:
        """Open a connection, and note in which slot it is."""
        self.entries[entry.index] = entry
        return self.connect(server, timeout)

    def connect(self, server: Any, timeout: float | None) -> SteadyDBConnection:
        """Open a steady connection; a server of ``servers`` is given as ``host`` and ``port``.

        NotSupportedError if its module turns out not to be thread-safe.
        """
        kwargs = self.kwargs if server is None else {**self.kwargs, "host": server[0], "port": server[1]}
        con = self.steady({**modules.connect_limit(self.creator, timeout, self.args, kwargs), **kwargs})
        if not con.threadsafety():
            con.close()
            raise NotSupportedError("Database module is not thread-safe.")
        con._ended = self.sharing.changed
        if self.opens_idle:
            self.reset(con)
        return con

    def steady(self, kwargs: dict[str, Any]) -> SteadyDBConnection:
        """Open a steady connection with these arguments for the creator."""
        return SteadyDBConnection(
            self.creator,
            self.maxusage,
            self.setsession,
            self.failures,
            self.ping_when,
            True,
            self.isfatal,
            *self.args,
            **kwargs,
        )

    def close(self, c: SteadyDBConnection) -> None:
        """Close it."""
        c.close()

    def check(self, c: SteadyDBConnection, timeout: float | None) -> bool:
        """Check it as ``ping`` says; without that, look whether its module calls it closed."""
        alive = c._is_alive() if c._ping & PING_FETCHED else None
        if alive is not None:
            return alive
        return c._closed_mark is None or not c._closed_mark(c._con)

    def ping(self, c: SteadyDBConnection, timeout: float | None) -> bool:
        """For ``keepalive``: ask the server in any case."""
        alive = c._is_alive()
        if alive is None:
            cursor = c._con.cursor()
            cursor.execute("SELECT 1")
            cursor.fetchone()
            cursor.close()
            c._con.rollback()
        return alive is not False

    def reset(self, c: SteadyDBConnection) -> None:
        """Roll back, if ``reset`` says so or ``begin()`` was called; an error costs the connection."""
        c._end_lease()
        if (self.rolls_back or c._transaction) and not c._closed:
            c._transaction = False
            try:
                c._con.rollback()
            except Exception as error:
                # PEP 249's two ways to say that a database has no transactions
                if hasattr(c._con, "rollback") and type(error).__name__ != "NotSupportedError":
                    raise

    def usable(self, c: SteadyDBConnection, exc: BaseException) -> bool:
        """After any error but one that may mean a lost connection."""
        return not isinstance(exc, c._failures)

    # ---- for the pool's attributes -----------------------------------------------------------------------------------

    def idle(self) -> list[SteadyDBConnection]:
        """The connections that look idle, read without taking them."""
        found = [(entry.held, entry.connection) for _, entry in sorted(self.entries.items())]
        return [c for held, c in found if not held and c is not None]
