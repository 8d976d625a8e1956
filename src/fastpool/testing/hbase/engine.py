"""The sockets and threads of an HBase Thrift server: accept, one thread per connection, call, reply.

Only the thread that serves a connection closes its descriptor (others shut it down), so that no thread ever reads from
a descriptor whose number the system has given to another connection.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from ..._core import Section
from ..news import News
from ..sockets import listen, reset_on_close
from .script import Hold, Script
from .service import Service
from .store import HBaseError, Store
from .wire import Wire, load_idl

logger = logging.getLogger("fastpool.testing")

_CALL, _REPLY, _EXCEPTION, _STRUCT = 1, 2, 3, 12
_UNKNOWN_METHOD, _INTERNAL_ERROR = 1, 6
_CATCHES_ILLEGAL = ("mutateRow", "mutateRowTs", "checkAndPut")
_STOP_WITHIN = 5.0


class Connection:
    """One accepted connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.dropped = False
        self._reset = False
        self._sending = Section()

    def send(self, data: bytes) -> None:
        """Send bytes; OSError if the connection is gone."""
        self._sending.run(self.sock.sendall, data)

    def drain(self) -> None:
        """Read, and answer nothing, until the client ends the connection or it is dropped."""
        while self.sock.recv(65536):
            pass

    def hang_up(self) -> None:
        """End the connection; its thread then closes it."""
        self.dropped = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Send the client a reset instead of an end, when the connection's thread closes it."""
        self._reset = self.dropped = True
        with contextlib.suppress(OSError):
            reset_on_close(self.sock)
            self.sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close the descriptor."""
        self.dropped = True
        with contextlib.suppress(OSError):
            if not self._reset:
                # A forked child may hold the same descriptor: end the connection itself, not just our hold on it.
                self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class Method:
    """How one method of the interface is called and answered."""

    def __init__(self, idl: Any, name: str, handler: Callable[..., Any]) -> None:
        result = getattr(idl.Hbase, f"{name}_result")
        self.name = name
        self.arguments: Callable[[], Any] = getattr(idl.Hbase, f"{name}_args")
        self.result: Callable[[], Any] = result
        self._handler = handler
        self._names = [spec[1] for spec in self.arguments.thrift_spec.values()]
        self._errors = {spec[2]: spec[1] for spec in result.thrift_spec.values() if spec[1] != "success"}
        self._io_error = idl.IOError
        self._illegal = idl.IllegalArgument if name in _CATCHES_ILLEGAL else None

    def call(self, arguments: Any) -> tuple[int, Any]:
        """Call the handler; the kind of the reply and its content."""
        result = self.result()
        values = arguments.__dict__
        try:
            result.success = self._handler(*[values[name] for name in self._names])
        except HBaseError as error:
            result.io = self._io_error(message=str(error))
        except Exception as error:
            field = self._errors.get(type(error))
            if field is not None:
                setattr(result, field, error)
            elif self._illegal is not None and isinstance(error, ValueError):
                result.ia = self._illegal(message=f"java.lang.IllegalArgumentException: {error}")
            else:
                logger.debug("Internal error processing %s", self.name, exc_info=True)
                return _EXCEPTION, _failure(_INTERNAL_ERROR, f"Internal error processing {self.name}: {error}")
        return _REPLY, result

    def fail(self, message: str) -> tuple[int, Any]:
        """HBase's IOError instead of what the handler gives."""
        result = self.result()
        result.io = self._io_error(message=message)
        return _REPLY, result


def _failure(kind: int, message: str) -> Any:
    from thriftpy2.thrift import TApplicationException

    return TApplicationException(kind, message)


class Engine:
    """A server's running part."""

    def __init__(
        self, wire: Wire, script: Script, store: Store, max_workers: int | None, read_timeout: float | None
    ) -> None:
        idl = load_idl()
        self.script = script
        self.calls: Counter[str] = Counter()
        self.opened = 0
        self.address = ("", 0)
        self._wire = wire
        self._max_workers = max_workers
        self._read_timeout = read_timeout
        self._service = Service(store, idl, lambda: self.address)
        names = idl.Hbase.thrift_services
        self.methods = {name: Method(idl, name, getattr(self._service, name)) for name in names}
        self._changed = News()
        self._staff = Section()  # guards which thread serves which connection
        self._connections: set[Connection] = set()
        self._pending: deque[Connection] = deque()
        self._workers: set[threading.Thread] = set()
        self._counting = Section()
        self._stopping = False

    @property
    def open(self) -> int:
        """How many connections are open, also those that no thread serves yet."""
        return len(self._connections)

    @property
    def open_scanners(self) -> int:
        """How many scanners are open."""
        return self._service.open_scanners

    def start(self, host: str, port: int) -> None:
        """Listen and serve; OSError if the address cannot be had."""
        listener = listen(host, port, backlog=1024)
        self._stopping = False
        self.address = listener.getsockname()[:2]
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._acceptor = threading.Thread(
            target=self._accept, args=(listener,), name=f"fastpool-hbase-{self.address[1]}", daemon=True
        )
        self._acceptor.start()

    def stop(self) -> None:
        """End all connections and threads, within a few seconds at most."""
        deadline = time.monotonic() + _STOP_WITHIN
        self._stopping = True
        self._wake_writer.send(b"x")
        self._acceptor.join(_STOP_WITHIN)
        for connection in list(self._connections):
            connection.hang_up()  # before held calls are released: a server that ends answers none of them
        self.script.stop()
        self.drop()
        for worker in list(self._workers):
            worker.join(max(0.0, deadline - time.monotonic()))
        self._wake_reader.close()
        self._wake_writer.close()
        self._service.close_scanners()

    def _accept(self, listener: socket.socket) -> None:
        with listener, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while not self._stopping:
                selector.select()
                try:
                    while not self._stopping:
                        self._admit(listener.accept()[0])
                except BlockingIOError:
                    pass  # the other end is gone
                except OSError:
                    logger.warning("HBaseServer cannot accept a connection", exc_info=True)
                    time.sleep(0.05)  # out of descriptors: do not spin until there are some
            # As with connections, end the listening itself.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)

    def _admit(self, sock: socket.socket) -> None:
        sock.settimeout(self._read_timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._staff.run(self._employ, Connection(sock))
        self._changed.tell()

    def _employ(self, connection: Connection) -> None:
        self.opened += 1
        self._connections.add(connection)
        if self._max_workers is not None and len(self._workers) >= self._max_workers:
            self._pending.append(connection)
        else:
            worker = threading.Thread(target=self._work, args=(connection,), name="fastpool-hbase-serve", daemon=True)
            self._workers.add(worker)
            worker.start()

    def _work(self, connection: Connection | None) -> None:
        while connection is not None:
            self._serve(connection)
            self._close(connection)
            connection = self._staff.run(self._next)

    def _next(self) -> Connection | None:
        if self._pending:
            return self._pending.popleft()
        self._workers.discard(threading.current_thread())
        return None

    def _close(self, connection: Connection) -> None:
        connection.close()
        self._connections.discard(connection)
        self._changed.tell()

    def wait_connections(self, count: int, timeout: float) -> bool:
        """Wait until ``count`` connections are open."""
        return self._changed.wait_for(lambda: len(self._connections) == count, timeout)

    def drop(self, reset: bool = False) -> int:
        """End all present connections; they are gone when this returns (unless a handler takes seconds)."""
        present, unserved = self._staff.run(self._present)
        for connection in present:
            connection.cut() if reset else connection.hang_up()
        self.script.wake()
        for connection in unserved:
            self._close(connection)
        self._changed.wait_for(lambda: not any(one in self._connections for one in present), _STOP_WITHIN)
        return len(present)

    def _present(self) -> tuple[list[Connection], list[Connection]]:
        """All connections, and those among them that no thread serves, or will serve."""
        unserved = list(self._pending)
        self._pending.clear()
        return list(self._connections), unserved

    def _serve(self, connection: Connection) -> None:
        from thriftpy2.transport import TTransportException

        try:
            self._answer_calls(connection)
        except (TTransportException, OSError):
            pass  # the client is gone, was silent for too long, or was dropped
        except Exception:
            logger.debug("Closing a connection that does not speak this protocol", exc_info=True)

    def _answer_calls(self, connection: Connection) -> None:
        reader, encode = self._wire.reader(connection.sock), self._wire.encoder()
        methods, script = self.methods, self.script
        while not connection.dropped:
            name, _, seqid = reader.read_message_begin()
            method = methods.get(name)
            if method is None:
                reader.skip(_STRUCT)
                reader.read_message_end()
                failure = _failure(_UNKNOWN_METHOD, f"Invalid method name: '{name}'")
                connection.send(encode(name, _EXCEPTION, seqid, failure))
                continue
            arguments = method.arguments()
            reader.read_struct(arguments)
            reader.read_message_end()
            self._counting.run(self._count, name)
            if script.active:
                self._answer_as_asked(connection, method, arguments, seqid, encode)
            else:
                connection.send(encode(name, *_ordered(seqid, method.call(arguments))))

    def _count(self, name: str) -> None:
        self.calls[name] += 1

    def _answer_as_asked(
        self, connection: Connection, method: Method, arguments: Any, seqid: int, encode: Callable[..., bytes]
    ) -> None:
        holds: list[Hold] = []
        try:
            holds, wrong = self.script.arrived(connection, method.name)
            failure = None if wrong is None else wrong.message
            kind, payload = method.call(arguments) if failure is None else method.fail(failure)
            if wrong is None:
                connection.send(encode(method.name, kind, seqid, payload))
            else:
                wrong.carry_out(
                    connection, lambda name, number: encode(name, kind, number, payload), method.name, seqid
                )
        finally:
            for hold in holds:
                hold.answered()


def _ordered(seqid: int, reply: tuple[int, Any]) -> tuple[int, int, Any]:
    return reply[0], seqid, reply[1]
