"""ConnectionWrapper: a connection of the pool, with Cassandra's Thrift calls and their retries."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..._errors import LeaseError
from . import ttypes
from .client import METHODS, Client
from .errors import InvalidRequestError
from .retries import ONCE, RETRYABLE, Retries
from .transport import Wire

if TYPE_CHECKING:
    from ..._core import Entry
    from .home import Home


class _Nobody:
    """Replaces the slot's entry while a connection is opened and has no holder."""

    busy = False

    def begin_call(self) -> None: ...
    def end_call(self) -> None: ...
    def taint(self, desync: bool = False) -> None: ...


class ConnectionWrapper(Retries):
    """A connection; ``pool.get()`` gives it. Its methods are those of Cassandra's Thrift interface.

    ``server`` is its server, ``keyspace`` its keyspace, ``info["request"]`` the last operation, ``starttime`` when it
    was opened (seconds since the epoch), ``operation_count`` the number of operations made on it.

    An operation that can be repeated is retried on a new connection, up to ``max_retries`` times, after
    TimedOutException, UnavailableException, or when the connection breaks: then MaximumRetryException. With
    ``allow_retries=False`` it is not. ``add`` and ``remove_counter`` are not, unless ``allow_retries=True``.
    """

    _max_retries: int | None

    def __init__(self, pool: Any, max_retries: int | None = None, *args: Any, **kwargs: Any) -> None:
        raise InvalidRequestError("a ConnectionWrapper is not made directly: pool.get() gives one")

    @classmethod
    def connected(cls, driver: Home, entry: Entry, server: tuple[str, int], limit: float | None) -> Any:
        """Connect to ``server`` within ``limit`` seconds, log in and choose the keyspace."""
        self = object.__new__(cls)
        self._driver = driver
        self._entry = entry
        self._max_retries = None
        self._retry_count = 0
        self._quiet = False  # True: its close is not reported by connection_disposed
        self.info = {}
        self.starttime = time.time()
        self.operation_count = 0
        self.keyspace = None
        self.server = driver.text_of(server)
        deadline = None if limit is None else time.monotonic() + limit
        wire = driver.wire(server, self.server)
        self._client = client = Client(self, _Nobody(), wire)
        try:
            wire.open(limit)
            with client.time_limit(None if deadline is None else max(deadline - time.monotonic(), 0.001)):
                if driver.credentials is not None:
                    client.login(ttypes.AuthenticationRequest(credentials=dict(driver.credentials)))
                client.set_keyspace(driver.keyspace)
        except BaseException:
            client.retire()
            raise
        client._entry = entry
        self.keyspace = driver.keyspace
        return self

    # ---- what the holder may do ---------------------------------------------------------------------------------

    @property
    def transport(self) -> Any:
        """The Thrift transport in use; a retry replaces it."""
        return self._client.wire.transport

    @property
    def max_retries(self) -> int:
        """How often an operation is retried: the pool's ``max_retries``, unless it is set here; -1: no limit."""
        return self._driver.max_retries if self._max_retries is None else self._max_retries

    @max_retries.setter
    def max_retries(self, value: int) -> None:
        self._max_retries = value

    def return_to_pool(self) -> None:
        """Return this to the pool: ``pool.put(self)``."""
        self._driver.pool.put(self)

    def close(self) -> None:
        """Close the transport. The connection is not used again; its place in the pool is free once it is returned."""
        if self._client.is_open():
            try:
                self._entry.begin_call()
            except LeaseError as error:
                raise InvalidRequestError(str(error)) from None
            self._entry.taint()
            self._entry.end_call()
            self._client.retire()
        self._quiet = True

    def set_keyspace(self, keyspace: str) -> None:
        """Change to another keyspace, until the connection is returned."""
        before = self.keyspace
        if keyspace == before:
            return
        # Before the call: if it is interrupted here, it may still take effect, and the keyspace is unknown.
        self._entry.needs_reset = True
        self.keyspace = None
        try:
            self.call_once("set_keyspace", keyspace)
        except ttypes.InvalidRequestException:
            self.keyspace = before  # there is no such keyspace
            raise
        self.keyspace = keyspace

    def get_keyspace_description(
        self, keyspace: str | None = None, use_dict_for_col_metadata: bool = False
    ) -> dict[str, Any]:
        """Describe a keyspace, by default the connection's: ``{column family's name: CfDef}``.

        ``use_dict_for_col_metadata``: ``column_metadata`` becomes a dict keyed by the column's name.
        """
        described = self.describe_keyspace(self.keyspace if keyspace is None else keyspace)
        if use_dict_for_col_metadata:
            for family in described.cf_defs:
                family.column_metadata = {column.name: column for column in family.column_metadata or ()}
        return {family.name: family for family in described.cf_defs}

    def __str__(self) -> str:
        return f"<ConnectionWrapper {self.keyspace}@{self.server}>"

    __repr__ = __str__

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Any]: ...

    # ---- for the pool ----------------------------------------------------------------------------------------------

    def check_holder(self) -> None:
        """Do nothing: the entry checks the holder."""

    def note_error(self, error: BaseException) -> None:
        """Do nothing: an error that the server declares says nothing of the connection."""

    @property
    def wire(self) -> Wire:
        """The transport in use, as its client has it."""
        wire: Wire = self._client.wire
        return wire

    @property
    def lease(self) -> int:
        """The number of the present lease, unique to it; -1: not leased in this process."""
        return self._entry.epoch if self._entry.held else -1

    def is_open(self) -> bool:
        """Whether the transport is open."""
        return bool(self._client.is_open())

    def end(self) -> None:
        """Close the transport at once, in any state."""
        self._client.retire()

    def __del__(self) -> None:
        client = vars(self).get("_client")
        if client is not None:
            client.discard()


def _operation(name: str) -> Callable[..., Any]:
    """A method of ConnectionWrapper."""
    if name not in RETRYABLE:

        def call(self: ConnectionWrapper, *args: Any, **kwargs: Any) -> Any:
            return self.call_once(name, *args, **kwargs)

        return call
    default = name not in ONCE

    def operate(self: ConnectionWrapper, *args: Any, allow_retries: bool = default, **kwargs: Any) -> Any:
        return self.call_until_done(name, allow_retries, args, kwargs)

    return operate


for _name in METHODS:
    if _name not in vars(ConnectionWrapper):
        _made = _operation(_name)
        _made.__name__, _made.__qualname__ = _name, f"ConnectionWrapper.{_name}"
        setattr(ConnectionWrapper, _name, _made)
