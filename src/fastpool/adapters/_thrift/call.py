"""One Thrift call from its begin to its end, without I/O: what to send, what to read, and what it costs.

A call *begins* on the entry of the slot before a byte of it is sent, and *ends* after the whole reply was read. In
between, anything that gets in the way, from a timeout to a signal handler that raises between two bytecodes, closes
the transport and taints the entry; if even that is interrupted, the entry stays busy, which costs the connection, too.
Nothing is ever repaired by reading on: what a server might still send is lost with its transport.

With or without ``await``, a client sends what :meth:`Call.begin` gives, reads into what :meth:`Call.receive` gives,
and tells :meth:`Call.end`, or :meth:`Call.fail` after any exception; :meth:`Call.result` is its caller's. See
``BlockingClient._make_call``.
"""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self

from thriftpy2.thrift import TApplicationException, TMessageType
from thriftpy2.transport import TTransportException

from ..._errors import LeaseError

if TYPE_CHECKING:
    from .client import BaseClient
    from .service import Method

_LAST_SEQUENCE_ID = 0x7FFFFFFF
_REPLY = TMessageType.REPLY
_DESYNC = (
    TApplicationException.BAD_SEQUENCE_ID,
    TApplicationException.WRONG_METHOD_NAME,
    TApplicationException.INVALID_MESSAGE_TYPE,
)


class Call:
    """One call of ``method`` on ``client``; at its end it has a value, or an error that the IDL declares."""

    __slots__ = ("_client", "_header", "_method", "_request", "_sent", "_seqid", "error", "value")

    error: BaseException | None
    value: Any
    _header: tuple[Any, int, int]  # of the reply, if it is not as expected
    _seqid: int

    def __init__(self, client: BaseClient, method: Method, request: Any) -> None:
        self._client = client
        self._method = method
        self._request = request
        self._sent = False  # True once the message may be sent: from there on a failure costs the connection

    @classmethod
    def sent(cls, client: BaseClient, method: Method, request: Any) -> Self:
        """A call whose message was made, and maybe sent, elsewhere: its reply is still to be read."""
        call = cls(client, method, request)
        call._seqid = client._seqid
        call._sent = True
        return call

    @staticmethod
    def refuse_retired(name: str) -> NoReturn:
        """Raise for a call of the method ``name`` that ended after its connection left the pool."""
        raise TTransportException(
            TTransportException.NOT_OPEN, f"{name} ended after the connection was taken out of the pool"
        )

    def begin(self) -> bytes:
        """Begin, and encode the message to send; LeaseError if the caller may not call now."""
        client = self._client
        client._connection.check_holder()
        client._entry.begin_call()
        client._call = self
        client._seqid = self._seqid = seqid = (client._seqid + 1) & _LAST_SEQUENCE_ID
        memory, oprot = client._memory, client._oprot
        memory.setvalue(b"")
        oprot.write_message_begin(self._method.name, self._method.message_type, seqid)
        oprot.write_struct(self._request)
        oprot.write_message_end()
        message: bytes = memory.getvalue()
        self._sent = True
        return message

    def receive(self, name: Any, kind: int, seqid: int) -> Any:
        """Check the header of the reply; the empty struct to read its body into."""
        method = self._method
        if seqid != self._seqid or name != method.name or kind != _REPLY:
            self._header = name, kind, seqid
            if kind == TMessageType.EXCEPTION:
                return TApplicationException()  # the body is read first: it is the cause of whatever the header says
            self._check_header(None)  # returns if only the name differs, by being bytes
        return method.result_class()

    def end(self, reply: Any) -> None:
        """Check the body of the reply, which was read to its end, if there is one, and end the call.

        TTransportException if the pool has taken the connection away meanwhile.
        """
        client = self._client
        self.value = None
        self.error = None
        if reply is not None:
            if isinstance(reply, TApplicationException):
                self._check_header(reply)
            method = self._method
            self.value, self.error = method.outcome(reply)
            if self.error is not None:
                client._connection.note_error(self.error)
            if method.changes_scanners:
                self.note_scanner()
            if client._has_leftover():
                # The reply is good, but something follows it that belongs to no call.
                client._break_off(desync=True)
        if client._retired:
            self.refuse_retired(self._method.name)
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
        """The value of a call that ended; raises the error that the server declared instead."""
        if self.error is not None:
            raise self.error
        return self.value

    def note_scanner(self) -> None:
        """Keep account of the scanners that are open on the server."""
        client = self._client
        if self._method.opens_scanner and self.value is not None:
            client.scanners.add(self.value)
        else:
            client.scanners.discard(getattr(self._request, "id", None))
        client._connection.note_reset()

    def _check_header(self, failure: Any) -> None:
        """Raise if the message is not the reply to this call, or if it is ``failure``, a TApplicationException."""
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
        if got_kind != _REPLY:
            raise TApplicationException(
                TApplicationException.INVALID_MESSAGE_TYPE,
                f"expected a reply to {name}, got a message of type {got_kind} {where}",
            )
