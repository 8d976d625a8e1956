"""DBAPI: connections of any DB-API module (PEP 249): psycopg2, PyMySQL, mysqlclient, sqlite3 and others."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from .._driver import Driver
from . import _modules as modules

# Modules whose connections say without I/O that they were lost: after any other error of theirs they can be used again.
_MARK_LOST = {"psycopg", "psycopg2", "pymysql", "sqlite3"}
# Modules that leave a connection in step whatever exception ends the block, as far as its state shows.
_STAY_IN_STEP = {"psycopg", "psycopg2", "sqlite3"}
_HARMLESS = ("DataError", "IntegrityError", "NotSupportedError", "ProgrammingError")
_IN_STEP = (0, 2, 3)  # libpq's transaction status: idle, in a transaction, in a failed transaction
_DENIED = (1044, 1045, 1049, 1698)  # MySQL's error numbers: it is up, and refuses this user or database

Ping = bool | str | Callable[[Any], Any] | None


class DBAPI(Driver[Any]):
    """Opens connections with a DB-API module's ``connect(*args, **kwargs)``, or with a function that opens one.

    ``ping``: how a connection is checked: True, by its own ``ping()``, else by ``SELECT 1``; an SQL statement; a
    function of the connection that returns whether it works (None: yes) or raises; False or None: only its closed mark
    is looked at. ``autocommit``: set on every new connection; None leaves the module's default. With ``servers``,
    ``connect`` gets ``host`` and ``port``.

    When a connection comes back it is rolled back, and what its holder has set is undone: autocommit, and with psycopg2
    and psycopg the properties of transactions. An error of the module that does not mean a lost connection costs none.

    TypeError for a bad argument; ValueError for a module whose ``threadsafety`` is 0: its connections must stay in one
    thread.
    """

    def __init__(
        self, module_or_connect: Any, /, *args: Any, ping: Ping = True, autocommit: bool | None = None, **kwargs: Any
    ) -> None:
        self._connect = getattr(module_or_connect, "connect", module_or_connect)
        if not callable(self._connect):
            raise TypeError(
                f"module_or_connect must be a DB-API module or a function that connects, not {module_or_connect!r}"
            )
        if not (ping is None or isinstance(ping, (bool, str)) or callable(ping)):
            raise TypeError(f"ping must be True, False, an SQL statement or a function, not {ping!r}")
        if not (autocommit is None or isinstance(autocommit, bool)):
            raise TypeError(f"autocommit must be True, False or None, not {autocommit!r}")
        self.source = module_or_connect
        self.args, self.kwargs = args, kwargs
        self.how, self.autocommit = ping, autocommit
        self._module: Any = module_or_connect if isinstance(module_or_connect, ModuleType) else None
        self._was: Any = None  # the autocommit of a new connection
        self._settings: dict[str, Any] = {}  # likewise
        _refuse_unsafe(self._module or module_or_connect)
        if modules.root(self._connect) == "sqlite3":
            self.kwargs = {
                "check_same_thread": False,
                **kwargs,
            }  # used by one thread at a time

    def __getstate__(self) -> dict[str, Any]:
        state = {**vars(self), "_module": None}
        if isinstance(self.source, ModuleType):
            del state["_connect"]
            state["source"] = modules.Named(self.source.__name__)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if isinstance(self.source, modules.Named):
            self.source = self._module = import_module(self.source.name)
            self._connect = self.source.connect

    # ---- the pool's calls --------------------------------------------------------------------------------------------

    def connect(self, server: Any, timeout: float | None) -> Any:
        """Connect, within ``timeout`` as far as the module can be told."""
        kwargs = self.kwargs if server is None else {**self.kwargs, "host": server[0], "port": server[1]}
        c = self._connect(*self.args, **modules.connect_limit(self._connect, timeout, self.args, kwargs), **kwargs)
        try:
            self._learn(c)
            if self.autocommit is not None:
                modules.set_autocommit(c, self.autocommit)
            self.prepare(c)
            self._was, self._settings = modules.autocommit_of(c), modules.settings_of(c)
        except BaseException:
            c.close()
            raise
        return c

    def prepare(self, c: Any) -> None:
        """Prepare the session of a new connection; override it for statements of your own, and commit them."""

    def check(self, c: Any, timeout: float | None) -> bool:
        """Check as ``ping`` says."""
        if modules.is_closed(c):
            return False
        how = self.how
        if callable(how):
            return modules.says_alive(how(c))
        if not how:
            return True
        own = getattr(c, "ping", None)
        if how is True and own is not None:
            return modules.by_own_ping(own)
        cursor = c.cursor()
        try:
            cursor.execute("SELECT 1" if how is True else how)
            if cursor.description:
                cursor.fetchall()
        finally:
            cursor.close()
        c.rollback()
        return True

    def reset(self, c: Any) -> None:
        """Roll back, and undo what the holder has set."""
        if modules.is_closed(c):
            raise ValueError(f"{c!r} was closed by its holder")
        rollback = getattr(c, "rollback", None)
        if rollback is not None:
            try:
                rollback()
            except Exception as error:
                if not isinstance(error, self._errors("NotSupportedError")):  # a database without transactions
                    raise
        for name, value in self._settings.items():
            if getattr(c, name) != value:
                setattr(c, name, value)
        if self._was is not None and modules.autocommit_of(c) != self._was:
            modules.set_autocommit(c, self._was)

    def usable(self, c: Any, exc: BaseException) -> bool:
        """After an error that leaves the connection intact."""
        if modules.is_closed(c):
            return False
        name = modules.root(type(c))
        if name in _STAY_IN_STEP:
            status = getattr(getattr(c, "info", None), "transaction_status", 0)
            return status in _IN_STEP
        return isinstance(exc, self._errors("Error") if name in _MARK_LOST else self._errors(*_HARMLESS))

    def blames_server(self, error: Exception) -> bool:
        """Say no for wrong arguments, and where a MySQL server knows neither the user nor the database."""
        wrong = isinstance(error, (TypeError, ValueError, *self._errors("ProgrammingError")))
        return not wrong and not (error.args and error.args[0] in _DENIED)

    def fileno(self, c: Any) -> int:
        """The connection's own descriptor, if its module shows it."""
        return modules.fileno(c)

    # ---- its parts ---------------------------------------------------------------------------------------------------

    def _learn(self, c: Any) -> None:
        """Learn from a connection of which module it is."""
        if self._module is None:
            self._module = modules.module_of(c)
            _refuse_unsafe(self._module)

    def _errors(self, *names: str) -> tuple[type[BaseException], ...]:
        found = (getattr(self._module, name, None) for name in names)
        return tuple(kind for kind in found if isinstance(kind, type) and issubclass(kind, BaseException))


def _refuse_unsafe(source: Any) -> None:
    level = getattr(source, "threadsafety", None)
    if level == 0:
        raise ValueError(
            f"module_or_connect must be thread-safe, not {source!r}, whose threadsafety is 0: "
            "a pool passes a connection from thread to thread"
        )
