"""The guarded Thrift client of asyncio: a reply goes to the call that asked for it, or the connection is over.

As :mod:`._guard`, where the reasons are, with an ``await`` wherever the server may take its time. A task that is
cancelled there leaves by an exception like any other, and costs the connection.
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thriftpy2.contrib.aio.client import TAsyncClient
from thriftpy2.thrift import TApplicationException, TMessageType
from thriftpy2.transport import TMemoryBuffer

from ..._core import loop_of_thread
from ..._core.time_limit import TimeLimit
from .._thrift.call import ENCODING, IDLE, LAST_SEQUENCE_ID, SENT, Guard, Method, class_for
from .transport import Stream

if TYPE_CHECKING:
    from ..._core import Entry
    from .connection import GuardedConnection


logger = logging.getLogger("fastpool")


class GuardedClient(Guard, TAsyncClient):
    """A thriftpy2 client of asyncio on one socket of a slot; :func:`client_class` adds a service's methods.

    Raises LeaseError where nobody may call, TTransportException(NOT_OPEN) after the socket was closed, and
    TApplicationException (BAD_SEQUENCE_ID, WRONG_METHOD_NAME, INVALID_MESSAGE_TYPE) for a reply out of step.
    """

    declared_errors: tuple[type[BaseException], ...] = ()

    def __init__(
        self,
        service: ModuleType,
        connection: GuardedConnection,
        entry: Entry,
        stream: Stream | ExternalTransport,
        iprot: Any,
        protocol_factory: Any,
    ) -> None:
        Guard.__init__(self)
        TAsyncClient.__init__(self, service, iprot)
        self._connection = connection
        self._entry = entry
        self._socket = stream
        self._protocol_factory = protocol_factory
        # A message is put together here and sent whole, so that an argument that cannot be encoded costs nothing.
        self._memory: Any = TMemoryBuffer()
        self._renew_output()
        # Ids begin anywhere, so that a reply that strayed from another connection does not fit either.
        self._seqid = random.getrandbits(30)

    def _renew_output(self) -> None:
        # A compact protocol that failed half-way remembers how deep it was, so it is made anew.
        self._oprot = self._protocol_factory.get_protocol(self._memory)

    async def _req(self, _api: str, *args: Any, **kwargs: Any) -> Any:
        return await getattr(self, _api)(*args, **kwargs)

    async def _send(self, _api: str, **kwargs: Any) -> None:
        raise TypeError(f"{_api} cannot be sent without receiving its reply: await client.{_api}(...)")

    async def _recv(self, _api: str) -> Any:
        raise TypeError(f"the reply to {_api} cannot be received by itself: await client.{_api}(...)")

    def in_step(self) -> bool:
        """Whether the connection is open, no call is under way, and nothing has arrived unasked."""
        return Guard.in_step(self) and self._socket.quiet()

    def close(self) -> None:
        """Close on behalf of whoever uses the connection, which costs it."""
        if self.is_open():
            self._connection.closing()
            if self._stage == IDLE:
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
                # The server does not know it any more, which is what was wanted.
                continue

    async def ping(self, limit: float) -> None:
        """Ask the server something cheap, within ``limit`` seconds, so that it does not hang up."""
        async with TimeLimit(limit):
            await self.getTableNames()

    def _encoded(self, method: Method, request: Any, seqid: int) -> bytes:
        memory, oprot = self._memory, self._oprot
        memory.setvalue(b"")
        oprot.write_message_begin(method.name, method.message_type, seqid)
        oprot.write_struct(request)
        oprot.write_message_end()
        message: bytes = memory.getvalue()
        return message

    async def _refuse(self, name: str, seqid: int, got_name: Any, got_type: int, got_seqid: int) -> None:
        """Raise for a message that is not the reply to ``name``; return if it is, in the protocol's other spelling."""
        failure: TApplicationException | None = None
        if got_type == TMessageType.EXCEPTION:
            failure = TApplicationException()
            await self._iprot.read_struct(failure)
            await self._iprot.read_message_end()
        self._out_of_step(name, seqid, got_name, got_type, got_seqid, failure)


class ExternalTransport:
    """What a client was made of that is not ours: HTTP, or a transport factory of the user's. In the place of a Stream.

    What it holds back between its calls cannot be seen, so only the checks of each reply speak for it. It can be closed
    in the loop that opened it only.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self.address = address

    @property
    def sock(self) -> Any:
        return self._client if self._client is not None and self._client._iprot.trans.is_open() else None

    async def send(self, message: bytes) -> None:
        transport = self._client._oprot.trans
        transport.write(message)
        await transport.flush()

    def leftover(self) -> bool:
        return False

    def quiet(self) -> bool:
        return self.sock is not None

    def fileno(self) -> int:
        return -1

    def shut(self) -> None:
        if loop_of_thread() is self._loop:
            client, self._client = self._client, None
            _close_external(client, self.address)
        else:
            self.discard()

    interrupt = shut

    def discard(self) -> None:
        client, self._client = self._client, None
        try:
            self._loop.call_soon_threadsafe(_close_external, client, self.address)
        except RuntimeError:
            pass  # the loop was closed, and what it had open can only be forgotten

    def abandon(self) -> None:
        """Nothing of it can be given up without a word, so it is left as it is."""


def _close_external(client: Any, address: str) -> None:
    try:
        if client is not None:
            client.close()
    except Exception as error:
        logger.warning("close of the transport to %s failed: %r", address, error, exc_info=error)


def _guarded(service: ModuleType, name: str) -> Callable[..., Any]:
    """Make the client's method ``name``: what thriftpy2's _req, _send and _recv do, in one guarded piece."""
    method = Method(service, name)
    reply_type = TMessageType.REPLY

    async def call(self: GuardedClient, *args: Any, **kwargs: Any) -> Any:
        request = method.request(args, kwargs)
        stream = self._socket
        entry = self._entry
        if self._retired or stream.sock is None or entry.renew:
            return await getattr(await self._connection.reconnected_client(self), name)(*args, **kwargs)
        begun = False
        try:
            self._connection.check_holder()
            entry.begin_call()
            begun = True
            self._stage = ENCODING
            self._seqid = seqid = (self._seqid + 1) & LAST_SEQUENCE_ID
            message = self._encoded(method, request, seqid)
            self._stage = SENT
            await stream.send(message)
            value = error = None
            if not method.oneway:
                iprot = self._iprot
                got_name, got_type, got_seqid = await iprot.read_message_begin()
                if got_seqid != seqid or got_name != name or got_type != reply_type:
                    await self._refuse(name, seqid, got_name, got_type, got_seqid)
                result = method.result_class()
                await iprot.read_struct(result)
                await iprot.read_message_end()
                value, error = method.outcome(result)
                if method.changes_scanners:
                    self._account(method, request, value)
                if stream.leftover():
                    # The reply is good, but there is more than the reply: whatever it is, nobody asked for it.
                    self._break(desync=True)
            self._ended(name)
        except BaseException as reason:
            self._failed(reason, begun)
            raise
        if error is not None:
            raise error
        return value

    return call


@functools.cache
def client_class(service: ModuleType) -> type[GuardedClient]:
    """Make the client class for ``service``, a service that thriftpy2 loaded from an IDL."""
    made: type[GuardedClient] = class_for(service, GuardedClient, _guarded)
    return made
