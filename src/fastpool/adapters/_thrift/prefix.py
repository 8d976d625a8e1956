"""A table prefix for one block: what a checkout with ``table_prefix=`` gives.

Nested blocks share one connection, so a connection has a stack of prefixes, and the last one holds. Each block takes
its own off again, wherever it is in the stack: blocks need not end in the order in which they began. What is left on
the stack when the lease ends (a connection that was checked out by hand, a block that was never left) goes with the
reset of the connection, or with its replacement: the next caller always has the pool's prefix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..._core import AsyncLease, Lease, seconds_to_ns

if TYPE_CHECKING:
    from ..._core import Entry

L = TypeVar("L", bound=Lease[Any] | AsyncLease[Any])


class Prefix:
    """The prefix of one block; ``separator`` None: the pool's. TypeError for what is no string."""

    __slots__ = ("separator", "text")

    def __init__(self, text: Any, separator: Any = None) -> None:
        self.text = _as_bytes("table_prefix", text)
        self.separator = _as_bytes("table_prefix_separator", separator)


def _as_bytes(name: str, value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{name!r} must be a string, not {value!r} ({type(value).__name__})")
    return value.encode()


class PrefixedConnection:
    """Mixed into a library's Connection, whose table_prefix and table_prefix_separator are those in force."""

    table_prefix: bytes | None
    table_prefix_separator: bytes
    client: Any
    _entry: Entry
    _over: bool

    def _begin_prefixes(self) -> None:
        """Note the pool's own prefix, which the library has set."""
        self._own_prefix = self.table_prefix, self.table_prefix_separator
        self._prefixes: list[Prefix] = []

    def push_prefix(self, prefix: Prefix) -> None:
        """Use ``prefix`` from now on; the caller holds the lease."""
        if prefix.text is not None:
            # Before anything else: from here on the end of the lease resets the connection.
            self._entry.needs_reset = True
            self._prefixes.append(prefix)
            self._use_last_prefix()

    def pop_prefix(self, prefix: Prefix) -> None:
        """Use what was in force before ``prefix``; without effect if it is over, as with its lease."""
        left = [one for one in self._prefixes if one is not prefix]
        if len(left) < len(self._prefixes) and not self._over:
            self._prefixes = left
            self._use_last_prefix()
            self.note_reset()

    def clear_prefixes(self) -> None:
        """Use the pool's own prefix again; the lease is over."""
        if self._prefixes:
            self._prefixes = []
            self._use_last_prefix()

    def note_reset(self) -> None:
        """Have the connection reset at the end of its lease if that finds anything to do."""
        self._entry.needs_reset = bool(self._prefixes or self.client.scanners)

    def _use_last_prefix(self) -> None:
        text, separator = self._own_prefix
        if self._prefixes:
            last = self._prefixes[-1]
            text, separator = last.text, separator if last.separator is None else last.separator
        self.table_prefix, self.table_prefix_separator = text, separator


class BasePrefixedLease(Generic[L]):
    """A lease that gives its connection a prefix, for one block."""

    __slots__ = ("_connection", "_lease", "_pool", "_prefix", "_timeout")

    def __init__(self, pool: Any, lease: L, timeout: Any, prefix: Prefix) -> None:
        self._pool = pool
        self._lease = lease
        self._timeout = timeout  # for a decorated function, which needs a lease for each call
        self._prefix = prefix
        self._connection: Any = None

    @property
    def connection(self) -> Any:
        """The block's connection; None outside of the block."""
        return self._lease.connection

    @property
    def discarded(self) -> bool:
        """Whether the connection is closed at the end of the block."""
        return self._lease.discarded

    def discard(self) -> None:
        """Close the connection at the end of the block instead of returning it."""
        self._lease.discard()

    def _again(self) -> WithPrefix:
        """The pool, for a decorator."""
        return WithPrefix(self._pool, self._prefix)

    def __repr__(self) -> str:
        return f"<{self._lease!r} with table_prefix={self._prefix.text!r}>"

    def _begun(self, connection: Any) -> Any:
        connection.push_prefix(self._prefix)
        self._connection = connection
        return connection

    def _ending(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pop_prefix(self._prefix)


class WithPrefix:
    """A pool as decorators see it: each of their leases has the prefix."""

    def __init__(self, pool: Any, prefix: Prefix) -> None:
        self._pool = pool
        self._prefix = prefix

    def connection(self, timeout: Any) -> Any:
        return self._pool.connection(timeout, self._prefix.text, self._prefix.separator)

    aconnection = connection  # of a pool whose checkouts are awaited


def by_hand(block: Any, timeout: Any, text: Any, separator: Any) -> tuple[Any, Prefix]:
    """The arguments of get_connection, checked: the timeout of the checkout, and the prefix."""
    if not isinstance(block, bool):
        raise TypeError(f"block must be True or False, not {block!r} ({type(block).__name__})")
    if timeout is not ...:
        seconds_to_ns("timeout", timeout)
    return timeout if block else 0, Prefix(text, separator)
