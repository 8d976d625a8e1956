"""The objects that ``connection()`` gives: a steady connection until ``close()``, which returns it to the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

from ..._pool import Pool
from .errors import InvalidConnectionError

if TYPE_CHECKING:
    from types import TracebackType

    from .sharing import SharedDBConnection
    from .steady import SteadyDBConnection

_checkin = Pool.checkin


class Lender(Protocol):
    """The pool that a connection is returned to."""

    def unshare(self, con: SharedDBConnection) -> None:
        """End one use of a shared connection."""


class _Pooled:
    """A steady connection that a caller has; all but ``close`` is the connection's own."""

    _con: SteadyDBConnection | None = None
    _pool: Lender

    def __getattr__(self, name: str) -> Any:
        con = self._con
        if con is not None:
            return getattr(con, name)
        if name.startswith("__"):
            raise AttributeError(f"a closed connection has no attribute {name!r}")
        raise InvalidConnectionError(
            f"this connection was closed, so it belongs to its pool again: {name} cannot be used; "
            "call the pool's connection() for another one"
        )

    def close(self) -> None:
        """Return it to the pool; it may be called again."""
        raise NotImplementedError

    def __del__(self) -> None:
        if self._con is not None:
            try:
                self.close()
            except BaseException:
                pass  # the interpreter ends

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PooledDedicatedDBConnection(_Pooled):
    """A connection that its holder alone uses."""

    def __init__(self, pool: Lender, con: SteadyDBConnection) -> None:
        self._pool = pool
        self._con = con

    def close(self) -> None:
        """Return the connection to the pool, after a rollback; it may be called again."""
        con = self._con
        if con is not None:
            self._con = None
            pool: Any = self._pool
            _checkin(pool, con)  # as pool.cache(con) does, without another frame
            if pool._maxshared:
                pool._sharing.changed()


class PooledSharedDBConnection(_Pooled):
    """A connection that other holders may use at the same time."""

    _shared_con: SharedDBConnection | None

    def __init__(self, pool: Lender, shared_con: SharedDBConnection) -> None:
        self._pool = pool
        self._shared_con = shared_con
        self._con = shared_con.con

    def close(self) -> None:
        """End this holder's use; the last one's end returns the connection to the pool. It may be called again."""
        shared = None if self._con is None else self._shared_con
        if shared is not None:
            self._con = self._shared_con = None
            self._pool.unshare(shared)
