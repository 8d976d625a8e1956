"""An echo server in threads of the test, which can hang up, and say something that nobody asked for."""

from __future__ import annotations

import socket
import threading
from typing import Any, Self


class Echo:
    """Listens on loopback, or at a unix socket's path; ``accepted`` are the server's sides, in order."""

    def __init__(self, path: str | None = None, limit: float = 60.0) -> None:
        self._listener: Any
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.host, self.port = self._listener.getsockname()
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
            self._listener.listen()
        self._limit = limit
        self.accepted: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    @property
    def options(self) -> dict[str, Any]:
        return {"host": self.host, "port": self.port}

    def hang_up(self, number: int) -> None:
        """Close the server's side of a connection; the other side has heard of it when this returns."""
        self.accepted[number].shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(self._limit)  # from now on no more are accepted
        for one in self.accepted:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed on both sides
        for thread in self._threads[1:]:
            thread.join(self._limit)
        for one in (self._listener, *self.accepted):
            one.close()

    def _spawn(self, work: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            one.settimeout(self._limit)
            self.accepted.append(one)
            self._spawn(self._echo, one)

    def _echo(self, one: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                one.sendall(data)
        except OSError:
            pass
