"""Proxies that put a test server behind TLS, a unix socket or HTTP. Each ends with its ``with`` block."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import socket
import ssl
import struct
import threading
from types import TracebackType
from typing import Any, Self

WITHIN_S = 20


class Relay:
    """Forwards bytes to ``server``. It listens with TLS if there is a ``context``, on a unix socket if there is a
    ``path``.

    ``piece``: the largest number of the server's bytes in one TLS record.
    """

    host, port = "127.0.0.1", 0

    def __init__(
        self, server: Any, *, context: ssl.SSLContext | None = None, path: str | None = None, piece: int = 1 << 16
    ) -> None:
        self.transport, self.protocol = server.transport, server.protocol
        self._server = server
        self._context = context
        self._path = path
        self.piece = piece
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WITHIN_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive()

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._served: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        if self._path is not None:
            listener: Any = await asyncio.start_unix_server(self._accept, self._path)
        else:
            listener = await asyncio.start_server(self._accept, self.host, 0, ssl=self._context)
            self.port = listener.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        listener.close()
        await self._turns()  # serve a connection that was accepted while the relay was stopping, too
        for task in self._served:
            task.cancel()
        await asyncio.gather(*self._served, return_exceptions=True)
        for writer in self._writers:  # also the sockets of tasks that had not begun
            writer.transport.abort()
        await self._turns()

    @staticmethod
    async def _turns() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._served.add(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        out: asyncio.StreamWriter | None = None
        try:
            back, out = await asyncio.open_connection(self._server.host, self._server.port)
            ways = [asyncio.ensure_future(self._pass(reader, out)), asyncio.ensure_future(self._pass(back, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
            if ways[1].done() and not ways[1].cancelled():
                # The server hung up. With TLS this sends a close_notify, and keeps the socket until the client closes
                # its end.
                writer.close()
                await self._over.wait()
        finally:
            writer.transport.abort()
            if out is not None:
                out.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(self.piece):
                writer.write(data)
                await writer.drain()


class HttpFront:
    """Accepts each call as the body of a POST, as HBase does with ``hbase.regionserver.thrift.http``.

    ``server`` must be framed, so that the end of a reply is known.
    """

    def __init__(self, server: Any, transport: str = "buffered") -> None:
        assert server.transport == "framed"
        self.transport, self.protocol = transport, server.protocol
        self.paths: list[str] = []
        self.clients: list[socket.socket] = []
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                front.clients.append(self.connection)
                self.back = socket.create_connection((server.host, server.port))
                self.replies = self.back.makefile("rb")

            def do_POST(self) -> None:
                front.paths.append(self.path)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.back.sendall(body if transport == "framed" else struct.pack("!i", len(body)) + body)
                length = self.replies.read(4)
                reply = self.replies.read(struct.unpack("!i", length)[0]) if length else b""
                if not length:
                    self.close_connection = True
                    return
                reply = length + reply if transport == "framed" else reply
                self.send_response(200)
                self.send_header("Content-Type", "application/x-thrift")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def finish(self) -> None:
                self.replies.close()
                self.back.close()
                with contextlib.suppress(OSError):
                    super().finish()

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that disconnected

        self._server = Server(("127.0.0.1", 0), Handler)
        self.host, self.port = "127.0.0.1", self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WITHIN_S)
