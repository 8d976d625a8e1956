"""Retries of operations on a new connection, under the same lease, after a transient failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thriftpy2.protocol.exc import TProtocolException
from thriftpy2.thrift import TApplicationException
from thriftpy2.transport import TTransportException

from ..._core.greenlets import pause
from ..._errors import LeaseError
from . import ttypes
from .errors import AllServersUnavailable, InvalidRequestError, MaximumRetryException, NoServerForRetry

try:
    from thriftpy2.protocol.cybin.cybin import ProtocolError
except ImportError:  # thriftpy2 without its compiled part
    ProtocolError = TProtocolException

if TYPE_CHECKING:
    from ..._core import Entry
    from .home import Home

# Changes of counters: a repeated one counts twice.
ONCE = frozenset(("add", "remove_counter"))
RETRYABLE = ONCE | {
    "atomic_batch_mutate", "batch_mutate", "describe_keyspace", "get", "get_count", "get_indexed_slices",
    "get_range_slices", "get_slice", "insert", "multiget_count", "multiget_slice", "remove", "truncate",
}  # fmt: skip
# After these the operation may succeed on another connection.
_PASSING = (
    ttypes.TimedOutException,
    ttypes.UnavailableException,
    TTransportException,
    TProtocolException,
    ProtocolError,
    AllServersUnavailable,
    OSError,
    EOFError,
)
_BACKOFF_S = 0.01
_LONGEST_BACKOFF_S = 1.0


class Retries:
    """The part of a ConnectionWrapper that retries an operation until it succeeds, or fails for good."""

    _driver: Home
    _entry: Entry
    _retry_count: int
    _quiet: bool
    _client: Any
    server: str
    keyspace: str | None
    starttime: float
    max_retries: int
    operation_count: int
    info: dict[str, Any]

    def close(self) -> None:
        """Close the transport."""
        raise NotImplementedError

    def call_once(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Make a call, without retries."""
        try:
            return getattr(self._client, method)(*args, **kwargs)
        except LeaseError as error:
            raise InvalidRequestError(str(error)) from None

    def call_until_done(self, method: str, allow_retries: bool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make an operation; retry it on a new connection after a transient failure."""
        failure: BaseException | None = None
        while True:
            try:
                if failure is not None:
                    self._replace()
                self.operation_count += 1
                self.info["request"] = {"method": method, "args": args, "kwargs": kwargs}
                result = self.call_once(method, *args, **kwargs)
            except TApplicationException:
                self._give_up()
                raise
            except _PASSING as error:
                failure = error
            else:
                self._retry_count = 0
                if self.operation_count > self._driver.recycle >= 0:
                    self._entry.needs_reset = True
                return result
            self._failed(failure, allow_retries)

    def _failed(self, error: BaseException, allow_retries: bool) -> None:
        """Report a failure and pause before the next attempt; MaximumRetryException if none is left."""
        no_server = isinstance(error, AllServersUnavailable)
        if not no_server:  # else each server's refusal was reported already
            self._driver.tell("connection_failed", "info", error=error, server=self.server, connection=self)
        self.close()
        self._retry_count += 1
        most = self.max_retries
        if not allow_retries or 0 <= most < self._retry_count:
            self._give_up()
            kind = NoServerForRetry if no_server else MaximumRetryException
            last = f"{type(error).__name__}: {error}"
            raise kind(f"Retried {self._retry_count} times. Last failure was {last}") from error
        if no_server and most < 0:  # otherwise it would retry for as long as all servers are down
            self._give_up()
            raise error
        pause(min(_BACKOFF_S * 2 ** min(self._retry_count, 30), _LONGEST_BACKOFF_S))

    def _give_up(self) -> None:
        """Close the transport and free the place in the pool, if checked out by hand; a later put() does nothing."""
        self.close()
        self._driver.pool.forsake(self)

    def _replace(self) -> None:
        """Go on with a new connection, perhaps to another server, under the same lease."""
        entry = self._entry
        try:
            entry.begin_call()
        except LeaseError as error:
            raise InvalidRequestError(str(error)) from None
        try:
            self._driver.pool.reconnect(self)
        except BaseException:
            entry.end_call()
            raise

    def adopt(self, other: Retries) -> None:
        """Take over the transport and state of ``other``, which was just opened and is not used any more."""
        self._client, other._client = other._client, self._client
        self._client._connection = self
        self.server, self.keyspace, self.starttime = other.server, other.keyspace, other.starttime
        self.operation_count, self.info = 0, {}
        self._quiet = False
