"""The guarded client of Cassandra's service: a reply reaches only its own call, or the connection is closed.

The steps of a call, and how it fails, are in :mod:`fastpool.adapters._thrift.call`.
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thriftpy2.protocol import TBinaryProtocol
from thriftpy2.transport import TTransportException

from .._thrift.blocking import BlockingClient
from .._thrift.service import Method, class_for
from .service import service
from .transport import Wire

if TYPE_CHECKING:
    from ..._core import Entry


class GuardedClient(BlockingClient):
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

    def _await_reply(self) -> Any:
        self.wire.receive()
        return self.wire.protocol


def _method(service: ModuleType, name: str) -> Callable[..., Any]:
    """Make the client's method ``name``."""
    method = Method(service, name)

    def perform(self: GuardedClient, *args: Any, **kwargs: Any) -> Any:
        request = method.request(args, kwargs)
        wire = self.wire
        if wire.sock is None:
            raise TTransportException(TTransportException.NOT_OPEN, f"the connection to {wire.address} is closed")
        return self._make_call(method, request)

    return perform


Client: Any = class_for(service, GuardedClient, _method)
METHODS: tuple[str, ...] = tuple(service.thrift_services)
