"""How a client of threads makes a call: it sends, and waits for the reply in the same thread.

What a call is, and what it costs when something gets in its way, is in :mod:`fastpool.adapters._thrift.call`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .call import Call
from .client import BaseClient
from .service import Method


class BlockingClient(BaseClient):
    """A client whose transport has ``send(message)``, ``socket_timeout`` and ``settimeout(seconds)``."""

    _socket: Any

    def _await_reply(self) -> Any:
        """Give the protocol to read the reply from, once there is something to read."""
        raise NotImplementedError

    def _make_call(self, method: Method, request: Any) -> Any:
        """Make a call: its result. Raises what it declares, and what costs the connection."""
        call = Call(self, method, request)
        try:
            self._socket.send(call.begin())
            self._receive(method, call)
        except BaseException as error:
            call.fail(error)
            raise
        return call.result()

    def _receive(self, method: Method, call: Call) -> None:
        """Read the reply, if the method has one, and end the call."""
        reply = None
        if method.has_reply:
            iprot = self._await_reply()
            reply = call.receive(*iprot.read_message_begin())
            iprot.read_struct(reply)
            iprot.read_message_end()
        call.end(reply)

    @contextlib.contextmanager
    def time_limit(self, limit: float | None) -> Iterator[None]:
        """Within the block no read or write takes longer than ``limit`` seconds."""
        sock = self._socket
        usual = sock.socket_timeout
        if limit is not None:
            sock.settimeout(limit if usual is None else min(limit, usual))
        yield
        # Not in a finally: what raised above has cost the connection.
        if limit is not None:
            sock.settimeout(usual)
