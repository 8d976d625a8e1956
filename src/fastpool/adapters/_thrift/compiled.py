"""A client's calls through the codec, where it was built, with thriftpy2 behind it for all that it refuses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thriftpy2.transport import TTransportException

from .call import Call
from .codec import codec
from .service import Method

if TYPE_CHECKING:
    from ..._core import Entry


@functools.cache
def operations(service: ModuleType, client: type) -> dict[str, Any]:
    """The methods of ``service`` that the codec speaks, by name; none without a codec.

    Each kind of ``client`` has its own, because an operation knows that client's function: two libraries in a process
    may have one service.
    """
    found: dict[str, Any] = {}
    if codec is None:
        return found
    structs = _structs(service)
    if structs is None:
        return found
    for name in service.thrift_services:
        try:
            operation = codec.Operation(Method(service, name), structs)
        except codec.Unsupported:
            continue
        if not name.startswith("mutateRows") or codec.writes_rows(operation):
            found[name] = operation
    return found


def _structs(service: ModuleType) -> Any:
    """The structs of rows, if ``service`` has rows, and they are declared as the codec knows them; else None."""
    try:
        row = service.getRow_result.thrift_spec[0][2][1]
        columns, in_order = row.thrift_spec[2][2], row.thrift_spec[3][2]
        return codec.shapes_of(row, columns[1][1], in_order[1])
    except (AttributeError, LookupError, TypeError, codec.Unsupported):
        return None


class CompiledCalls:
    """Mixed into a client: its channel, and what the codec leaves to thriftpy2."""

    _channel: Any = None
    _call: Any
    _entry: Entry
    _retired: bool
    _seqid: int

    def _open_channel(
        self,
        spoken: dict[str, Any],
        compact: bool | None,
        framed: bool,
        direct: bool,
        check_holder: Callable[[], object] | None = None,
    ) -> None:
        """Speak these operations through the codec from now on; ``compact`` is None for a protocol unknown to it.

        ``direct``: messages go as they are through the ``sock`` of the client's socket.
        """
        if spoken and compact is not None:
            self._channel = codec.Channel(self, self._entry, spoken, compact, framed, direct, check_holder)

    # For the channel.

    def resumed_call(self, method: Method, args: tuple[Any, ...]) -> Call:
        """The call that the channel began, whose reply thriftpy2 has to read."""
        call: Call = Call.sent(self, method, method.request(args or (), {}))  # type: ignore[arg-type]
        self._call = call
        return call

    def fail_call(self, method: Method, error: BaseException) -> None:
        """End the call that the channel began, after ``error``."""
        call = Call.sent(self, method, None)  # type: ignore[arg-type]
        if self._call is not None:
            self._call = call
        call.fail(error)

    def note_scanner(self, method: Method, args: tuple[Any, ...], value: Any) -> None:
        """Keep account of the scanners that are open on the server, after a call that opened or closed one."""
        call = Call.sent(self, method, method.request(args, {}))  # type: ignore[arg-type]
        call.value = value
        call.note_scanner()

    def refuse_retired(self, name: str) -> None:
        """Raise for a call that ended after its connection left the pool."""
        Call.refuse_retired(name)

    def refuse_end(self) -> None:
        """Raise for a server that hung up instead of a reply."""
        raise TTransportException(TTransportException.END_OF_FILE, "TSocket read 0 bytes")
