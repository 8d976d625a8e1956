"""A Thrift server whose replies a test scripts byte by byte."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import happybase  # loads the IDL
import thriftpy2.protocol
import thriftpy2.transport
from Hbase_thrift import Hbase, TCell, TRowResult
from thriftpy2.thrift import TApplicationException, TMessageType

assert happybase

PROTOCOLS = {
    "binary": thriftpy2.protocol.TBinaryProtocol,
    "compact": thriftpy2.protocol.TCompactProtocol,
}


@dataclass(frozen=True)
class Call:
    """A request as it was received."""

    name: str
    seqid: int
    args: Any
    stream: Stream


class Stream:
    """The server's side of one connection."""

    def __init__(self, sock: socket.socket, transport: str, protocol: str) -> None:
        self.sock = sock
        self.framed = transport == "framed"
        self.protocol = PROTOCOLS[protocol]
        self.seqids: list[int] = []

    def calls(self) -> Iterator[Call]:
        under = thriftpy2.transport.TSocket(sock=self.sock)
        kind = thriftpy2.transport.TFramedTransport if self.framed else thriftpy2.transport.TBufferedTransport
        trans = kind(under)
        prot = self.protocol(trans, decode_response=False)
        while True:
            try:
                name, _, seqid = prot.read_message_begin()
                name = name.decode() if isinstance(name, bytes) else name
                args = getattr(Hbase, name + "_args")()
                prot.read_struct(args)
                prot.read_message_end()
            except (thriftpy2.transport.TTransportException, OSError):
                return
            self.seqids.append(seqid)
            yield Call(name, seqid, args, self)

    def encode(self, name: str, seqid: int, result: Any, kind: int = TMessageType.REPLY) -> bytes:
        memory = thriftpy2.transport.TMemoryBuffer()
        prot = self.protocol(memory)
        prot.write_message_begin(name, kind, seqid)
        prot.write_struct(result)
        prot.write_message_end()
        data: bytes = memory.getvalue()
        return struct.pack("!i", len(data)) + data if self.framed else data

    def good(self, call: Call, seqid: int | None = None, name: str | None = None) -> bytes:
        """The right reply to ``call``, with another id or name if one is given."""
        return self.encode(name or call.name, call.seqid if seqid is None else seqid, answer(call))

    def refusal(self, call: Call, text: bytes = b"no", seqid: int | None = None) -> bytes:
        error = TApplicationException(TApplicationException.INTERNAL_ERROR, text)
        return self.encode(call.name, call.seqid if seqid is None else seqid, error, TMessageType.EXCEPTION)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)


def row(key: bytes) -> dict[bytes, bytes]:
    """The row that a good server returns for ``key``."""
    return {b"cf:key": key}


def answer(call: Call) -> Any:
    result = getattr(Hbase, call.name + "_result")()
    if call.name == "getRowWithColumns":
        result.success = [TRowResult(row=call.args.row, columns={b"cf:key": TCell(value=call.args.row, timestamp=1)})]
    elif call.name == "getTableNames":
        result.success = [b"t"]
    elif call.name == "scannerOpenWithScan":
        result.success = call.seqid
    elif call.name == "scannerGetList":
        columns = {b"cf:a": TCell(value=b"v", timestamp=1)}
        result.success = [TRowResult(row=b"%d" % i, columns=columns) for i in range(call.args.nbRows)]
    elif hasattr(result, "success"):
        result.success = 0
    return result


Script = Callable[[Call], None]


def hang_up(call: Call) -> None:
    """A script: close the connection instead of replying."""
    raise OSError


class ScriptedServer:
    """Replies correctly to every call unless ``script`` is set; ``accepted`` lists all connections so far."""

    def __init__(self, transport: str = "buffered", protocol: str = "binary") -> None:
        self.transport = transport
        self.protocol = protocol
        self.script: Script | None = None
        self.accepted: list[Stream] = []
        self._changed = threading.Condition()
        self.calls: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def connect(self) -> dict[str, Any]:
        """Keyword arguments for a happybase connection."""
        return {"host": self.host, "port": self.port, "transport": self.transport, "protocol": self.protocol}

    def connections(self, expected: int) -> int:
        """The number of connections accepted so far; waits up to 5 s for ``expected``, because accepting takes a
        moment."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.accepted) >= expected, 5)
            return len(self.accepted)

    def end_of(self, sock: socket.socket) -> Any:
        """The server's end of a connection: a socket, or what acts like one."""
        return sock

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            stream = Stream(self.end_of(sock), self.transport, self.protocol)
            with self._changed:
                self.accepted.append(stream)
                self._changed.notify_all()
            thread = threading.Thread(target=self._serve, args=(stream,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, stream: Stream) -> None:
        with stream.sock:
            for call in stream.calls():
                self.calls.append(call.name)
                script = self.script
                try:
                    if script is None:
                        stream.send(stream.good(call))
                    else:
                        script(call)
                except OSError:
                    return

    def close(self) -> None:
        """Close everything; closing twice is harmless."""
        if self._listener.fileno() < 0:
            return
        # shutdown() wakes accept(), close() alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(5)  # a connection may have been accepted that is not in the list yet
        for stream in self.accepted:
            try:
                stream.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()
