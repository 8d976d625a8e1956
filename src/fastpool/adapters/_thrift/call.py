"""One Thrift call from its begin to its end, without I/O: what to send, what to read, and what it costs.

A call *begins* on the entry of the slot before a byte of it is sent, and *ends* after the whole reply was read. In
between, anything that gets in the way, from a timeout to a signal handler that raises between two bytecodes, closes
the transport and taints the entry; if even that is interrupted, the entry stays busy, which costs the connection, too.
Nothing is ever repaired by reading on: what a server might still send is lost with its transport.

A client performs a :class:`Call` so, with or without ``await``::

    try:
        send(call.begin())
        if call.has_reply:
            reply = call.receive(*read_message_begin())
            read_struct(reply)
            read_message_end()
            call.check(reply)
        call.end()
    except BaseException as error:
        call.fail(error)
        raise
    return call.result()
"""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thriftpy2.thrift import TApplicationException, TMessageType
from thriftpy2.transport import TTransportException

from ..._errors import LeaseError

if TYPE_CHECKING:
    from .client import BaseClient
    from .service import Method

_DESYNC = (
    TApplicationException.BAD_SEQUENCE_ID,
    TApplicationException.WRONG_METHOD_NAME,
    TApplicationException.INVALID_MESSAGE_TYPE,
)


class Call:
    """One call of ``method`` on ``client``."""

    __slots__ = ("_client", "_error", "_header", "_method", "_request", "_sent", "_seqid", "_value", "has_reply")

    def __init__(self, client: BaseClient, method: Method, request: Any) -> None:
        self._client = client
        self._method = method
        self._request = request
        self._seqid = 0
        self._sent = False  # or about to be: from here on a failure costs the connection
        self._header: tuple[Any, int, int] | None = None
        self._value: Any = None
        self._error: BaseException | None = None
        self.has_reply = not method.oneway

    def begin(self) -> bytes:
        """Begin, and encode the message to send; LeaseError if the caller may not call now."""
        client = self._client
        client._connection.check_holder()
        client._entry.begin_call()
        client._call = self
        self._seqid = client._next_sequence_id()
        message = client._encode(self._method, self._request, self._seqid)
        self._sent = True
        return message

    def receive(self, name: Any, kind: int, seqid: int) -> Any:
        """Check the header of the reply; the empty struct to read its body into."""
        self._header = name, kind, seqid
        if kind == TMessageType.EXCEPTION:
            return TApplicationException()  # the body is read first: it is the cause of whatever the header says
        self._check_header(None)
        return self._method.result_class()

    def check(self, reply: Any) -> None:
        """Check the body of the reply, which has been read to its end."""
        if isinstance(reply, TApplicationException):
            self._check_header(reply)
        client = self._client
        method = self._method
        self._value, self._error = method.outcome(reply)
        if method.changes_scanners:
            self._note_scanner()
        if client._has_leftover():
            # The reply is good, but something follows it that belongs to no call.
            client._break_off(desync=True)

    def end(self) -> None:
        """End; TTransportException if the pool has taken the connection away meanwhile."""
        client = self._client
        if client._retired:
            raise TTransportException(
                TTransportException.NOT_OPEN,
                f"{self._method.name} ended after the connection was taken out of the pool",
            )
        client._call = None
        client._entry.end_call()

    def fail(self, error: BaseException) -> None:
        """End after ``error``, which costs the connection unless nothing was sent."""
        client = self._client
        begun = client._call is self
        if not begun and (isinstance(error, LeaseError) or not client._entry.busy):
            return  # it was refused; otherwise it was interrupted just before or just after it began
        if begun and not self._sent and isinstance(error, Exception):
            client._renew_output()
        else:
            # Before end_call(): whatever interrupts this, the entry is busy or tainted.
            client._break_off(desync=isinstance(error, TApplicationException) and error.type in _DESYNC)
        client._call = None
        if not client._retired:
            client._entry.end_call()

    def result(self) -> Any:
        """The value of the reply; raises the error in it, if it is one that the IDL declares."""
        if self._error is not None:
            raise self._error
        return self._value

    def _note_scanner(self) -> None:
        """Keep account of the scanners that are open on the server."""
        client = self._client
        if self._method.opens_scanner and self._value is not None:
            client.scanners.add(self._value)
        else:
            client.scanners.discard(getattr(self._request, "id", None))
        client._entry.needs_reset = bool(client.scanners)

    def _check_header(self, failure: Any) -> None:
        """Raise if the message is not the reply to this call, or if it is ``failure``, a TApplicationException."""
        assert self._header is not None
        got_name, got_kind, got_seqid = self._header
        name = self._method.name
        if failure is not None and isinstance(failure.message, bytes):
            failure.message = failure.message.decode("utf-8", "replace")  # str(failure) fails otherwise
        where = f"from {self._client.address}; the connection is out of step and was closed"
        if got_seqid != self._seqid:
            raise TApplicationException(
                TApplicationException.BAD_SEQUENCE_ID,
                f"expected the reply {self._seqid} to {name}, got {got_seqid} to {got_name!r} {where}",
            ) from failure
        if got_name != name and got_name != name.encode():
            raise TApplicationException(
                TApplicationException.WRONG_METHOD_NAME,
                f"expected the reply to {name}, got one to {got_name!r} {where}",
            ) from failure
        if failure is not None:
            raise failure
        if got_kind != TMessageType.REPLY:
            raise TApplicationException(
                TApplicationException.INVALID_MESSAGE_TYPE,
                f"expected a reply to {name}, got a message of type {got_kind} {where}",
            )
