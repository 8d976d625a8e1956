"""A server that speaks Redis's protocol, whose replies a test can hold back, add to, or push to idle clients."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

PATIENCE = 20  # seconds after which what a test waits for will not come


class RespServer:
    """Answers PING, GET (with the key), SET, HELLO, CLIENT and MULTI/EXEC; anything else is an error.

    ``commands``: what was received, as lists of text. ``hold``: a key; GET of it is answered by :meth:`answer`.
    ``maintenance``: whether CLIENT MAINT_NOTIFICATIONS is accepted.
    """

    def __init__(self, maintenance: bool = False) -> None:
        self.maintenance = maintenance
        self.hold: str | None = None
        self.held: list[tuple[socket.socket, str]] = []
        self.commands: list[list[str]] = []
        self.clients: list[socket.socket] = []
        self.accepted = 0
        self.refuses = False
        self._changed = threading.Condition()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listening.getsockname()[:2]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End all connections, and listen no more."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.drop_all()

    def drop_all(self) -> None:
        """Hang up on every client."""
        with self._changed:
            clients, self.clients = self.clients, []
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()

    def send_all(self, data: bytes) -> None:
        """Send bytes that nobody has asked for to every client."""
        for client in list(self.clients):
            with contextlib.suppress(OSError):  # it has hung up
                client.sendall(data)

    def answer(self) -> None:
        """Answer the GETs that were held back."""
        with self._changed:
            held, self.held = self.held, []
        for client, key in held:
            client.sendall(bulk(key))

    def until(self, condition: Any) -> None:
        """Wait until ``condition()`` holds; it is looked at after every command."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE)

    def names(self) -> list[str]:
        """The names of the commands that were received, without those of a handshake."""
        return [command[0] for command in self.commands if command[0] not in ("HELLO", "CLIENT")]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self.refuses:
                client.close()
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self.clients.append(client)
                self.accepted += 1
                self._changed.notify_all()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client.makefile("rb") as incoming:
            queued: list[list[str]] | None = None
            while (line := incoming.readline()).startswith(b"*"):
                command = []
                for _ in range(int(line[1:])):
                    size = int(incoming.readline()[1:])
                    command.append(incoming.read(size + 2)[:-2].decode(errors="replace"))
                command[0] = command[0].upper()
                reply = b"+QUEUED\r\n" if queued is not None else self._reply(client, command)
                if command[0] == "MULTI":
                    queued, reply = [], b"+OK\r\n"
                elif queued is not None and command[0] == "EXEC":
                    reply = b"*%d\r\n" % len(queued) + b"".join(self._reply(client, one) for one in queued)
                    queued = None
                elif queued is not None:
                    queued.append(command)
                with self._changed:  # so that whoever sees the command, or the reply, can count on the other
                    self.commands.append(command)
                    client.sendall(reply)
                    self._changed.notify_all()

    def _reply(self, client: socket.socket, command: list[str]) -> bytes:
        match command:
            case ["HELLO", *_]:
                return b"%2\r\n+server\r\n+redis\r\n+proto\r\n:3\r\n"
            case ["CLIENT", "MAINT_NOTIFICATIONS", *_] if not self.maintenance:
                return b"-ERR unknown subcommand\r\n"
            case ["CLIENT" | "SET" | "SELECT" | "AUTH" | "UNWATCH", *_]:
                return b"+OK\r\n"
            case ["PING"]:
                return b"+PONG\r\n"
            case ["GET", key] if key == self.hold:
                with self._changed:
                    self.held.append((client, key))
                return b""
            case ["GET", key]:
                return bulk(key)
        return b"-ERR unknown command\r\n"


def bulk(text: str) -> bytes:
    """A reply that is this text."""
    return f"${len(text)}\r\n{text}\r\n".encode()
