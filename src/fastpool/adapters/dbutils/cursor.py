"""SteadyDBCursor: a cursor whose statements are executed once more where the connection was lost."""

# mypy: disallow-subclassing-any=False, warn-unused-ignores=False

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from weakref import ref

from .creator import PING_EXECUTE
from .errors import InvalidConnectionError, InvalidCursorError

if TYPE_CHECKING:
    from types import TracebackType

    _Theirs: Any = object
else:
    try:  # so that isinstance() with DBUtils' own class goes on to be true
        from dbutils.steady_db import SteadyDBCursor as _Theirs
    except ImportError:
        _Theirs = object

_MANY = 100  # so many references to cursors are kept before those of cursors that are gone are dropped


class SteadyDBCursor(_Theirs):
    """A cursor of a steady connection; all that is not here is the module's own cursor's.

    A statement that fails with one of the connection's ``failures`` outside of a transaction is executed again: with a
    new cursor, then on a new connection. Inside one the connection is replaced, and the error raised.
    """

    def __init__(self, con: Any, *args: Any, **kwargs: Any) -> None:
        self._cursor: Any = None
        self._closed = True
        self._no_failover = 0  # how many no_failover() blocks are open
        self._con = con
        self._args, self._kwargs = args, kwargs
        self._inputsizes: Any = []
        self._outputsizes: dict[Any, Any] = {}
        make = getattr(con, "_cursor", None)
        if make is None:
            raise TypeError(f"{con!r} is not a SteadyDBConnection.")
        self._lease = con._lease
        self._cursor = make(*args, **kwargs)
        self._closed = False
        if len(con._cursors) >= _MANY:
            con._cursors = [reference for reference in con._cursors if reference() is not None]
        con._cursors.append(ref(self))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        cursor = self._current()
        try:
            return iter(cursor)
        except TypeError:
            return iter(cursor.fetchone, None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"a steady cursor has no attribute {name!r}")
        cursor = self._current()
        if name.startswith(("execute", "call")):
            return partial(self._perform, name)
        return getattr(cursor, name)

    def __del__(self) -> None:
        with suppress(BaseException):
            self.close()

    @property
    def dbapi_cursor(self) -> Any:
        """The module's own cursor. What is executed on it is neither repeated nor counted."""
        return self._current()

    @contextmanager
    def no_failover(self) -> Iterator[SteadyDBCursor]:
        """Within the block a statement that fails is not executed again: its error is raised."""
        self._no_failover += 1
        try:
            yield self
        finally:
            self._no_failover -= 1

    def setinputsizes(self, sizes: Any) -> None:
        """Note the sizes for the next statement, on whichever cursor it is executed."""
        self._inputsizes = sizes

    def setoutputsize(self, size: Any, column: Any = None) -> None:
        """Note the size of a column, or of all, for the next statement."""
        self._outputsizes[column] = size

    def close(self) -> None:
        """Close the cursor; it may be called again."""
        if not self._closed:
            self._closed = True
            if self._lease == self._con._lease:
                with suppress(Exception):
                    self._cursor.close()

    # ---- its parts ---------------------------------------------------------------------------------------------------

    def _current(self) -> Any:
        """The module's cursor, of a connection that the caller still holds."""
        if self._cursor is None:
            raise InvalidCursorError("the cursor could not be opened")
        if self._lease != self._con._lease:
            raise InvalidConnectionError(
                "the connection of this cursor was returned to the pool, and may be another caller's now: "
                "keep the connection for as long as you use its cursors"
            )
        return self._cursor

    def _forget_sizes(self) -> None:
        self._inputsizes = []
        self._outputsizes = {}

    def _call(self, cursor: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not name.startswith("execute"):
            return getattr(cursor, name)(*args, **kwargs)
        if self._inputsizes:
            cursor.setinputsizes(self._inputsizes)
        for column, size in self._outputsizes.items():
            cursor.setoutputsize(*((size,) if column is None else (size, column)))
        result = getattr(cursor, name)(*args, **kwargs)
        self._forget_sizes()
        return result

    def _perform(self, name: str, *args: Any, **kwargs: Any) -> Any:
        cursor, con = self._current(), self._con
        in_transaction = con._transaction
        if not in_transaction:
            con._ping_check(PING_EXECUTE)
        overused = con._is_overused()
        try:
            if overused:
                raise con._overuse()
            result = self._call(cursor, name, args, kwargs)
        except con._failures as error:
            if not overused and (self._no_failover or not con._fatal_check(error)):
                raise
            return self._repeat(lambda again: self._call(again, name, args, kwargs), error, in_transaction)
        con._usage += 1
        return result

    def _repeat(self, call: Callable[[Any], Any], error: BaseException, in_transaction: bool) -> Any:
        """Execute the statement again after ``error``, and return its result; raises ``error`` if that cannot be."""
        con = self._con
        if not in_transaction:
            with suppress(Exception):
                cursor = con._cursor(*self._args, **self._kwargs)
                try:
                    result = call(cursor)
                except BaseException:
                    _close(cursor)
                    raise
                self._adopt(cursor)
                con._usage += 1
                return result
        opened = con._opened(*self._args, **self._kwargs)
        if opened is None:
            con._transaction = False
            raise error
        raw, cursor = opened
        if in_transaction:
            self._adopt(cursor, raw)
            raise error
        try:
            result = call(cursor)
        except type(error):
            _close(cursor)
            _close(raw)
            raise error from None
        except Exception:
            self._adopt(cursor, raw)
            con._usage += 1
            raise
        except BaseException:
            _close(raw)
            raise
        self._adopt(cursor, raw)
        con._usage += 1
        return result

    def _adopt(self, cursor: Any, raw: Any = None) -> None:
        """Go on with another cursor, and its connection if that is new."""
        self.close()
        if raw is not None:
            self._con._exchange(raw)
        self._cursor = cursor
        self._closed = False


def _close(thing: Any) -> None:
    with suppress(Exception):
        thing.close()
