"""The guarded client of Cassandra's service: a reply reaches only its own call, or the connection is closed.

The steps of a call, and how it fails, are in :mod:`fastpool.adapters._thrift.call`.
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thriftpy2.protocol import TBinaryProtocol
from thriftpy2.transport import TTransportException

from .._thrift.call import Call
from .._thrift.client import BaseClient
from .._thrift.service import Method, class_for
from .service import service
from .transport import Wire

if TYPE_CHECKING:
    from ..._core import Entry


class GuardedClient(BaseClient):
    """A client on one transport; :data:`Client` has the service's methods.

    Raises LeaseError for a caller that does not hold the connection, TTransportException(NOT_OPEN) after the transport
    was closed, and TApplicationException (BAD_SEQUENCE_ID, WRONG_METHOD_NAME, INVALID_MESSAGE_TYPE) for a reply out of
    step.
    """

    _socket: Wire

    def __init__(self, connection: Any, entry: Entry, wire: Wire) -> None:
        super().__init__(connection, entry, wire, TBinaryProtocol)
        self.wire = wire

    def _has_leftover(self) -> bool:
        return self.wire.has_leftover()

    @contextlib.contextmanager
    def time_limit(self, limit: float | None) -> Iterator[None]:
        """Within the block no read or write takes longer than ``limit`` seconds."""
        usual = self.wire.timeout
        if limit is not None:
            self.wire.settimeout(limit if usual is None else min(limit, usual))
        yield
        # Not in a finally: an exception above has cost the connection.
        if limit is not None:
            self.wire.settimeout(usual)


def _method(service: ModuleType, name: str) -> Callable[..., Any]:
    """Make the client's method ``name``."""
    method = Method(service, name)

    def perform(self: GuardedClient, *args: Any, **kwargs: Any) -> Any:
        request = method.request(args, kwargs)
        wire = self.wire
        if wire.sock is None:
            raise TTransportException(TTransportException.NOT_OPEN, f"the connection to {wire.address} is closed")
        call = Call(self, method, request)
        try:
            wire.send(call.begin())
            wire.receive()
            iprot = wire.protocol
            reply = call.receive(*iprot.read_message_begin())
            iprot.read_struct(reply)
            iprot.read_message_end()
            call.end(reply)
        except BaseException as error:
            call.fail(error)
            raise
        if call.error is not None:
            raise call.error
        return call.value

    return perform


Client: Any = class_for(service, GuardedClient, _method)
METHODS: tuple[str, ...] = tuple(service.thrift_services)
