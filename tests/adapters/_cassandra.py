"""A Cassandra in memory behind a real Thrift socket, which does what the test says."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

from thriftpy2.protocol import TBinaryProtocol
from thriftpy2.thrift import TApplicationException, TMessageType
from thriftpy2.transport import TFramedTransport, TMemoryBuffer, TSocket, TTransportException

from fastpool.adapters.pycassa import ttypes as t
from fastpool.adapters.pycassa.service import service

KEYSPACE = "Keyspace1"
PARENT = t.ColumnParent(column_family="Standard1")
ONE = t.ConsistencyLevel.ONE


def column(value: bytes, name: bytes = b"c") -> Any:
    return t.Column(name=name, value=value, timestamp=1)


def insert(pool: Any, key: bytes = b"key", **options: Any) -> None:
    """Insert a value through a pool."""
    pool.execute("insert", key, PARENT, column(b"value"), ONE, **options)


class Call:
    """A request as it arrived at the server's side of one connection."""

    def __init__(self, stream: Stream, name: str, seqid: int, args: Any) -> None:
        self.stream = stream
        self.name = name
        self.seqid = seqid
        self.args = args

    def reply(self, result: Any, kind: int = TMessageType.REPLY, seqid: int | None = None) -> bytes:
        """The frame of a message that answers this call."""
        memory = TMemoryBuffer()
        protocol = TBinaryProtocol(memory)
        protocol.write_message_begin(self.name, kind, self.seqid if seqid is None else seqid)
        protocol.write_struct(result)
        protocol.write_message_end()
        data = memory.getvalue()
        return struct.pack("!i", len(data)) + data


class Stream:
    """The server's side of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.keyspace: str | None = None
        self.user: str | None = None
        self.calls: list[str] = []

    def requests(self) -> Iterator[Call]:
        protocol = TBinaryProtocol(TFramedTransport(TSocket(sock=self.sock)))
        while True:
            try:
                name, _, seqid = protocol.read_message_begin()
                args = getattr(service, name + "_args")()
                protocol.read_struct(args)
                protocol.read_message_end()
            except (TTransportException, OSError):
                return
            self.calls.append(name)
            yield Call(self, name, seqid, args)


Script = Callable[[Call], Any]
"""Called with each request but `login` and `set_keyspace`. Gives None for the usual answer, bytes to be sent as they
are, or an exception that is declared, as the reply; raises OSError to hang up."""


class FakeCassandra:
    """Serves `Keyspace1` and `Keyspace2`; with `password` it asks for user `ann` and that."""

    transport, protocol = "framed", "binary"

    def __init__(self, password: str | None = None, cassandra_host: str = "127.0.0.1") -> None:
        self.host = cassandra_host
        self.password = password
        self.script: Script | None = None
        self.on_connect: Callable[[], None] | None = None  # raises OSError to refuse
        self.rows: dict[bytes, dict[bytes, bytes]] = {}
        self.counts: dict[bytes, int] = {}
        self.keyspaces = {KEYSPACE, "Keyspace2"}
        self.streams: list[Stream] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        """Listen, at the port that it had before."""
        self._listener = socket.create_server((self.host, self.port))
        self.port = self._listener.getsockname()[1]
        thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Refuse connections, and end those that there are. A second call does nothing."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self._threads.clear()

    def hang_up(self) -> None:
        """End all connections of now."""
        with self._lock:
            streams, self.streams = self.streams, []
        for stream in streams:
            with contextlib.suppress(OSError):
                stream.sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            stream = Stream(sock)
            with self._lock:
                self.streams.append(stream)
            thread = threading.Thread(target=self._serve, args=(stream,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, stream: Stream) -> None:
        with stream.sock:
            try:
                if self.on_connect is not None:
                    self.on_connect()
                for call in stream.requests():
                    stream.sock.sendall(self._answer(call))
            except OSError:
                with contextlib.suppress(OSError):
                    stream.sock.shutdown(socket.SHUT_RDWR)

    def _answer(self, call: Call) -> bytes:
        scripted = None
        if self.script is not None and call.name not in ("login", "set_keyspace"):
            scripted = self.script(call)
        if isinstance(scripted, bytes):
            return scripted
        if isinstance(scripted, TApplicationException):
            return call.reply(scripted, TMessageType.EXCEPTION)
        result = getattr(service, call.name + "_result")()
        try:
            if scripted is not None:
                raise scripted
            result.success = getattr(self, call.name)(call.stream, call.args)
        except Exception as error:
            for field, spec in result.thrift_spec.items():
                if field and isinstance(error, spec[2]):
                    setattr(result, spec[1], error)
                    break
            else:
                raise
        return call.reply(result)

    # ---- the interface, as far as the tests use it

    def login(self, stream: Stream, args: Any) -> None:
        given = args.auth_request.credentials
        if self.password is not None and given != {"username": "ann", "password": self.password}:
            raise t.AuthenticationException(why="Username and/or password are incorrect")
        stream.user = given["username"]

    def set_keyspace(self, stream: Stream, args: Any) -> None:
        if self.password is not None and stream.user is None:
            raise t.InvalidRequestException(why="You have not logged in")
        if args.keyspace not in self.keyspaces:
            raise t.InvalidRequestException(why=f"Keyspace '{args.keyspace}' does not exist")
        stream.keyspace = args.keyspace

    def insert(self, stream: Stream, args: Any) -> None:
        if args.column_parent.column_family != "Standard1":
            raise t.InvalidRequestException(why="unconfigured table")
        self.rows.setdefault(args.key, {})[args.column.name] = args.column.value

    def get(self, stream: Stream, args: Any) -> Any:
        value = self.rows.get(args.key, {}).get(args.column_path.column)
        if value is None:
            raise t.NotFoundException
        return t.ColumnOrSuperColumn(column=column(value, args.column_path.column))

    def get_slice(self, stream: Stream, args: Any) -> Any:
        columns = self.rows.get(args.key, {}).items()
        return [t.ColumnOrSuperColumn(column=column(value, name)) for name, value in columns]

    def batch_mutate(self, stream: Stream, args: Any) -> None:
        for key, families in args.mutation_map.items():
            for mutations in families.values():
                for mutation in mutations:
                    changed = mutation.column_or_supercolumn.column
                    self.rows.setdefault(key, {})[changed.name] = changed.value

    def add(self, stream: Stream, args: Any) -> None:
        with self._lock:
            self.counts[args.key] = self.counts.get(args.key, 0) + args.column.value

    def remove_counter(self, stream: Stream, args: Any) -> None:
        self.counts.pop(args.key, None)

    def describe_keyspace(self, stream: Stream, args: Any) -> Any:
        metadata = [t.ColumnDef(name=b"c", validation_class="BytesType")]
        families = [t.CfDef(keyspace=args.keyspace, name="Standard1", column_metadata=metadata)]
        return t.KsDef(name=args.keyspace, strategy_class="SimpleStrategy", cf_defs=families)

    def describe_version(self, stream: Stream, args: Any) -> str:
        return "20.1.0"

    def describe_cluster_name(self, stream: Stream, args: Any) -> str:
        return stream.keyspace or ""


class Story:
    """A listener that notes the events, in order, with their dicts."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("connection_", "pool_", "server_list")):
            return lambda dic: self.told.append((name, dic))
        raise AttributeError(name)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    def count(self, name: str) -> int:
        return self.names.count(name)

    def dicts(self, name: str) -> list[dict[str, Any]]:
        return [dic for told, dic in self.told if told == name]

    def clear(self) -> None:
        self.told.clear()
