"""HBase's Thrift interface as bytes: the interface file, the reader of calls, the encoder of replies.

Replies are made in memory and sent by the caller, so that a test can have them cut, held back, doubled or forged.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import struct
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ..._core import Section

PROTOCOLS = ("binary", "compact")
TRANSPORTS = ("buffered", "framed")

_FRAME = struct.Struct("!i")
_loading = Section()


def load_idl() -> ModuleType:
    """Load the interface as a thriftpy2 module of its own, apart from the one that happybase uses.

    Raises ImportError if neither happybase nor aiohappybase, which carry the file, is installed.
    """
    for package in ("happybase", "aiohappybase"):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            for path in (os.path.join(folder, "Hbase.thrift"), os.path.join(folder, "thrift", "Hbase.thrift")):
                if os.path.isfile(path):
                    import thriftpy2

                    module: ModuleType = _loading.run(thriftpy2.load, path, "fastpool_testing_Hbase_thrift")
                    return module
    raise ImportError(
        "HBaseServer needs HBase's interface file Hbase.thrift, which comes with happybase, and found no happybase: "
        "pip install 'fastpool[happybase]'"
    )


class Wire:
    """One pair of protocol and transport."""

    def __init__(self, protocol: str, transport: str) -> None:
        from thriftpy2.protocol import TBinaryProtocol, TCompactProtocol
        from thriftpy2.transport import TBufferedTransport, TFramedTransport, TMemoryBuffer

        self._protocol: Callable[..., Any] = TBinaryProtocol if protocol == "binary" else TCompactProtocol
        self._transport: Callable[..., Any] = TBufferedTransport if transport == "buffered" else TFramedTransport
        self._memory: Callable[..., Any] = TMemoryBuffer
        self._framed = transport == "framed"

    def reader(self, sock: socket.socket) -> Any:
        """Return a thriftpy2 protocol that reads calls from ``sock``."""
        return self._protocol(self._transport(_Source(sock)))

    def encoder(self) -> Callable[[str, int, int, Any], bytes]:
        """Return a function (method name, message type, sequence id, struct) → the message's bytes; not thread-safe."""
        memory = self._memory()
        protocol = self._protocol(memory)
        framed = self._framed

        def encode(name: str, kind: int, seqid: int, payload: Any) -> bytes:
            memory.clean()
            protocol.write_message_begin(name, kind, seqid)
            protocol.write_struct(payload)
            protocol.write_message_end()
            data: bytes = memory.getvalue()
            return _FRAME.pack(len(data)) + data if framed else data

        return encode


class _Source:
    """The object that thriftpy2's transports read from."""

    def __init__(self, sock: socket.socket) -> None:
        self.read = sock.recv
        self.sock = sock
