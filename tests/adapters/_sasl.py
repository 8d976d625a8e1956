"""A server that wants SASL's PLAIN before it speaks Thrift, as thriftpy2's TSaslClientTransport has it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Any, Self

START, OK, BAD, COMPLETE = 1, 2, 3, 5
WITHIN_S = 20


class SaslFront:
    """Lets in whoever knows the password, and then passes bytes on to ``server``, framed as SASL's data is."""

    host = "127.0.0.1"

    def __init__(self, server: Any, users: dict[str, str]) -> None:
        assert server.transport == "framed"
        self.transport, self.protocol = server.transport, server.protocol
        self._server = server
        self._users = users
        self.admitted: list[str] = []
        self.silent = threading.Event()  # set: it says nothing
        self._listener = socket.create_server((self.host, 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(WITHIN_S)
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(WITHIN_S)
            assert not thread.is_alive()
        for sock in self._sockets:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                front, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(front)
            self._begin(self._serve, front)

    def _begin(self, work: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, front: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            if not self.silent.is_set() and self._admits(front):
                back = socket.create_connection((self._server.host, self._server.port))
                self._sockets.append(back)
                self._begin(self._pass, back, front)
                self._pass(front, back)
                return
            front.recv(1)  # until the client leaves

    def _admits(self, front: socket.socket) -> bool:
        assert self._message(front) == (START, b"PLAIN")
        status, said = self._message(front)
        _, user, password = said.decode().split("\0")
        knows = status == OK and self._users.get(user) == password
        answer = b"" if knows else b"wrong password"
        if knows:
            self.admitted.append(user)  # before the client hears of it
        front.sendall(struct.pack("!BI", COMPLETE if knows else BAD, len(answer)) + answer)
        return knows

    def _message(self, sock: socket.socket) -> tuple[int, bytes]:
        status, length = struct.unpack("!BI", self._exactly(sock, 5))
        return status, self._exactly(sock, length)

    @staticmethod
    def _exactly(sock: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = sock.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    @staticmethod
    def _pass(source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                to.sendall(data)
        for sock in (source, to):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
