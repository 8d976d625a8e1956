"""The guarded Thrift client of tasks: a reply goes to the call that asked for it, or the connection is over.

What a call is, and what it costs when something gets in its way, is in :mod:`fastpool.adapters._thrift.call`. A task
that is cancelled while it awaits the server leaves by an exception like any other, and costs the connection.
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thriftpy2.contrib.aio.client import TAsyncClient
from thriftpy2.contrib.aio.protocol import TAsyncBinaryProtocol, TAsyncCompactProtocol

from ..._core.time_limit import TimeLimit
from .._thrift.call import Call
from .._thrift.client import BaseClient
from .._thrift.codec import codec
from .._thrift.compiled import CompiledCalls, operations
from .._thrift.service import Method, class_for
from .transport import ExternalTransport, GuardedSocket

if TYPE_CHECKING:
    from ..._core import Entry


# Whether a protocol is the compact one; those that are not here are thriftpy2's to speak.
_COMPACT: dict[Any, bool] = {TAsyncBinaryProtocol: False, TAsyncCompactProtocol: True}


class GuardedClient(BaseClient, CompiledCalls, TAsyncClient):
    """A thriftpy2 client of asyncio on one socket of a slot; :func:`client_class` adds a service's methods.

    Raises LeaseError where nobody may call, TTransportException(NOT_OPEN) after the socket was closed, and
    TApplicationException (BAD_SEQUENCE_ID, WRONG_METHOD_NAME, INVALID_MESSAGE_TYPE) for a reply out of step.
    """

    _connection: Any  # the guarded connection that calls through this client
    _socket: GuardedSocket | ExternalTransport

    def __init__(
        self,
        service: ModuleType,
        connection: Any,
        entry: Entry,
        sock: GuardedSocket | ExternalTransport,
        iprot: Any,
        protocol_factory: Any,
    ) -> None:
        TAsyncClient.__init__(self, service, iprot)
        BaseClient.__init__(self, connection, entry, sock, protocol_factory.get_protocol)
        if isinstance(sock, GuardedSocket):
            self._open_channel(
                operations(service, GuardedClient),
                _COMPACT.get(type(iprot)),
                sock.framed,
                False,
                connection.check_holder,
            )

    async def _req(self, _api: str, *args: Any, **kwargs: Any) -> Any:
        return await getattr(self, _api)(*args, **kwargs)

    async def _send(self, _api: str, **kwargs: Any) -> None:
        raise TypeError(f"{_api} cannot be sent without receiving its reply: await client.{_api}(...)")

    async def _recv(self, _api: str) -> Any:
        raise TypeError(f"the reply to {_api} cannot be received by itself: await client.{_api}(...)")

    def close(self) -> None:
        """Close on behalf of the user, which costs the connection."""
        if self.is_open():
            self._connection.closing()
            self.closed_by_user = True
            if self._call is None:
                self._socket.shut()
            else:
                self._socket.interrupt()

    async def close_scanners(self, limit: float) -> None:
        """Close the scanners that are still open, each within ``limit`` seconds."""
        for scanner in tuple(self.scanners):
            try:
                async with TimeLimit(limit):
                    await self.scannerClose(scanner)
            except self.declared_errors:
                continue  # the server does not know the scanner any more: it is closed

    async def ping(self, limit: float) -> None:
        """Ask the server something cheap, within ``limit`` seconds, so that it does not hang up."""
        async with TimeLimit(limit):
            await self.getTableNames()

    def in_step(self) -> bool:
        """Whether the connection is open, no call is under way, and nothing has arrived unasked."""
        return super().in_step() and self._socket.quiet()

    async def perform(self, prepared: Any) -> Any:
        """Make a call that was prepared, by the channel; its value, or REFUSED if thriftpy2 must make it."""
        channel = self._channel
        message = channel.start(prepared)
        if message is None:
            return codec.REFUSED
        sock: Any = self._socket  # with a channel it is a GuardedSocket
        rest = value = None
        try:
            direct = sock.direct()
            if (unsent := message if direct is None else codec.send_now(direct, message)) is not None:
                await sock.transmit(unsent)
            while True:
                # A wait costs several times what an attempt does, and the rest of a reply is often there.
                state = codec.WAIT if direct is None else channel.receive_now(direct)
                if state == codec.WAIT:
                    arrived = await (sock.receive() if direct is None else sock.arrival())
                    state = channel.feed(arrived) if arrived else codec.MORE
                if state != codec.MORE:
                    break
            if state == codec.DONE:
                value = channel.end_reply(prepared.args)
            else:
                prepared.note_structs()
                sock.unread(channel.take(channel.pending))
                rest = self.resumed_call(prepared.method, prepared.args)
                await self._receive(prepared.method, rest)
        except BaseException as error:
            self.fail_call(prepared.method, error)
            raise
        return value if rest is None else rest.result()

    async def _receive(self, method: Method, call: Call) -> None:
        reply = None
        if method.has_reply:
            iprot = self._iprot
            reply = call.receive(*await iprot.read_message_begin())
            await iprot.read_struct(reply)
            await iprot.read_message_end()
        call.end(reply)

    def _has_leftover(self) -> bool:
        return self._socket.has_leftover()


def _method(service: ModuleType, name: str) -> Callable[..., Any]:
    """Make the client's method ``name``: what thriftpy2's _req, _send and _recv do, in one guarded piece."""
    method = Method(service, name)
    operation = operations(service, GuardedClient).get(name)

    async def perform(self: GuardedClient, *args: Any, **kwargs: Any) -> Any:
        if operation is not None and self._channel is not None:
            plain = method.in_order(args, kwargs) if kwargs else args
            value = await self.perform(codec.Prepared(operation, plain))
            if value is not codec.REFUSED:
                return value
        request = method.request(args, kwargs)
        if not self._can_call():
            return await getattr(await self._connection.reconnected_client(self), name)(*args, **kwargs)
        call = Call(self, method, request)
        try:
            await self._socket.send(call.begin())
            await self._receive(method, call)
        except BaseException as error:
            call.fail(error)
            raise
        return call.result()

    if operation is not None:
        operation.function = perform
    return perform


@functools.cache
def client_class(service: ModuleType) -> type[GuardedClient]:
    """Make the client class for ``service``, a service that thriftpy2 loaded from an IDL."""
    made: type[GuardedClient] = class_for(service, GuardedClient, _method)
    return made
