"""A table prefix for one block, as ``connection(table_prefix=…)`` gives it.

Nested blocks share one connection, so a connection has a stack of prefixes, and the last one holds. Each block
removes its own, wherever it is in the stack: blocks need not end in the order in which they began. Prefixes
left on the stack when the lease ends (a connection that was checked out by hand, a block that was never left) are
removed by the reset of the connection, or with its replacement: the next caller always has the pool's prefix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..._core import AsyncLease, Lease, seconds_to_ns

if TYPE_CHECKING:
    from ..._core import Entry

L = TypeVar("L", bound=Lease[Any] | AsyncLease[Any])


class Prefix:
    """The prefix of one block; ``separator`` None: the pool's. TypeError for a value that is no string."""

    __slots__ = ("separator", "text")

    def __init__(self, text: Any, separator: Any = None) -> None:
        self.text = as_bytes("'table_prefix' must be a string", text)
        self.separator = as_bytes("'table_prefix_separator' must be a string", separator)

    def over(self, own: tuple[bytes | None, bytes]) -> tuple[bytes | None, bytes]:
        """The text and separator in force; ``own``: those of the pool."""
        if self.text is None:
            return own
        return self.text, own[1] if self.separator is None else self.separator


def as_bytes(wanted: str, value: Any) -> bytes | None:
    """Text as bytes, None as it is; a TypeError that begins with ``wanted`` for anything else."""
    if value is None or isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{wanted}, not {value!r} ({type(value).__name__})")
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
        """Remove ``prefix``; no effect if it was removed already, or the lease is over."""
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
        """Request a reset at the end of the lease if there is anything to reset."""
        self._entry.needs_reset = bool(self._prefixes or self.client.scanners)

    def _use_last_prefix(self) -> None:
        own = self._own_prefix
        self.table_prefix, self.table_prefix_separator = self._prefixes[-1].over(own) if self._prefixes else own


class BasePrefixedLease(Generic[L]):
    """A lease that gives its connection a prefix, for one block."""

    __slots__ = ("_lease", "_pool", "_prefix", "_timeout")

    def __init__(self, pool: Any, lease: L, timeout: Any, prefix: Prefix) -> None:
        self._pool = pool
        self._lease = lease
        self._timeout = timeout  # for a decorated function, which needs a lease for each call
        self._prefix = prefix

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

    def _again(self) -> Any:
        """Make such a lease anew, for a call of a decorated function."""
        return self._pool.connection(self._timeout, self._prefix.text, self._prefix.separator)

    def __repr__(self) -> str:
        return f"<{self._lease!r} with table_prefix={self._prefix.text!r}>"

    def _begun(self, connection: Any) -> Any:
        connection.push_prefix(self._prefix)
        return connection

    def _ending(self) -> None:
        connection = self._lease.connection
        if connection is not None:
            connection.pop_prefix(self._prefix)


def by_hand(block: Any, timeout: Any, text: Any, separator: Any) -> tuple[Any, Prefix]:
    """The arguments of get_connection, checked: the timeout of the checkout, and the prefix."""
    if not isinstance(block, bool):
        raise TypeError(f"block must be True or False, not {block!r} ({type(block).__name__})")
    if timeout is not ...:
        seconds_to_ns("timeout", timeout)
    return timeout if block else 0, Prefix(text, separator)
