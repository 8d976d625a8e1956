"""The part of a guarded client that threads and tasks share: its state, without I/O."""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from thriftpy2.transport import TMemoryBuffer

if TYPE_CHECKING:
    from ..._core import Entry
    from .connection import BaseConnection
    from .sockets import Transport


class _Memory(io.BytesIO):
    """A transport that keeps what is written to it."""

    def setvalue(self, value: bytes) -> None:
        self.seek(0)
        self.truncate()
        self.write(value)


class BaseClient:
    """The state of the calls on one transport of a slot; its subclasses send and receive.

    ``output_protocol(memory)`` makes the protocol that encodes messages into ``memory``.
    """

    declared_errors: tuple[type[BaseException], ...] = ()

    def __init__(
        self, connection: BaseConnection[Any], entry: Entry, sock: Transport, output_protocol: Callable[[Any], Any]
    ) -> None:
        self._connection = connection
        self._entry = entry
        self._call: object | None = None  # the Call under way
        self._retired = False  # out of the pool: the slot may belong to another lease, so its entry stays untouched
        self.broken = False
        self.closed_by_user = False
        self.scanners: set[int] = set()
        self._socket = sock
        self._output_protocol = output_protocol
        # A message is put together here and sent whole, so that an argument that cannot be encoded costs nothing.
        # thriftpy2's buffer is slow to write to from Python, where all of its protocols but the compiled one are.
        self._memory: Any = _Memory()
        try:
            self._renew_output()
        except TypeError:  # the compiled protocol takes only compiled transports
            self._memory = TMemoryBuffer()
            self._renew_output()
        # Ids begin anywhere, so that a reply that strayed from another connection does not fit either.
        self._seqid = random.getrandbits(30)

    @property
    def address(self) -> str:
        """Where the transport leads, for messages."""
        return self._socket.address

    def fileno(self) -> int:
        """Give the descriptor, -1 when closed."""
        return self._socket.fileno()

    def is_open(self) -> bool:
        """Whether calls can be made on this very transport."""
        return self._socket.sock is not None

    def _can_call(self) -> bool:
        """Whether calls are to be made on this client, not on the one that replaces it."""
        return self._socket.sock is not None and not self._retired and not self._entry.renew

    def in_step(self) -> bool:
        """Whether the transport is open and no call is under way."""
        return self._socket.sock is not None and self._call is None and not self.broken

    def _has_leftover(self) -> bool:
        """Whether the server sent more than the reply that was read."""
        raise NotImplementedError

    # For Call.

    def _renew_output(self) -> None:
        """Make the encoder anew: a compact protocol that failed half-way remembers how deep it was."""
        self._oprot = self._output_protocol(self._memory)

    def _break_off(self, desync: bool) -> None:
        """Close the transport after a call that failed or a reply that fits no call."""
        if not self._retired:
            self._entry.taint(desync)
        self.broken = True
        self._socket.shut()

    # For the pool.

    def retire(self) -> None:
        """Close the transport, which leaves the pool."""
        self._retired = True
        if self._call is None:
            self._socket.shut()
        else:
            self._socket.interrupt()

    def discard(self) -> None:
        """Close the transport from a finalizer: send nothing, take no lock, log nothing."""
        self._retired = True
        self._socket.discard()

    def abandon(self) -> None:
        """Close only the descriptor and send nothing: the parent process goes on using the connection."""
        self._retired = True
        self._socket.abandon()
