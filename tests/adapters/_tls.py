"""A scripted server that speaks TLS, and whose test decides which bytes of a record are sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import pytest

from ._scripted import ScriptedServer

HOST = "127.0.0.1"


class Authority:
    """Certificates for one server, and what trusts them."""

    def __init__(self, host: str = HOST, expired: bool = False) -> None:
        self.ca = pytest.importorskip("trustme", reason="trustme is not installed (extra: servers)").CA()
        self.mine = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        when = {"not_before": datetime(2001, 1, 1), "not_after": datetime(2002, 1, 1)} if expired else {}
        self.ca.issue_cert(host, **when).configure_cert(self.mine)

    def trusting(self, **settings: Any) -> ssl.SSLContext:
        """A client's context that trusts the authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ca.configure_trust(context)
        for name, value in settings.items():
            setattr(context, name, value)
        return context


class End:
    """The server's end of a connection, as a socket; the handshake is made by the first recv()."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext) -> None:
        self.raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def recv(self, size: int) -> bytes:
        while True:
            try:
                return self._object.read(size)
            except ssl.SSLWantReadError:
                self.flush()
                data = self.raw.recv(65536)
                if not data:
                    return b""
                self._incoming.write(data)
            except ssl.SSLZeroReturnError:
                return b""

    def encrypted(self, data: bytes) -> bytes:
        """The record that says ``data``, to be sent by the test, whole or in part."""
        self._object.write(data)
        return self._outgoing.read()

    def flush(self) -> None:
        self.raw.sendall(self._outgoing.read())

    def sendall(self, data: bytes) -> None:
        self.raw.sendall(self.encrypted(data))

    def say_goodbye(self) -> None:
        """Send close_notify, and leave the socket open."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._object.unwrap()
        self.flush()

    def shutdown(self, how: int) -> None:
        self.raw.shutdown(how)

    def close(self) -> None:
        self.raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class TlsServer(ScriptedServer):
    """A ScriptedServer behind TLS."""

    def __init__(self, transport: str = "buffered", protocol: str = "binary", authority: Any = None) -> None:
        self.authority = authority or Authority()
        super().__init__(transport, protocol)

    def end_of(self, sock: socket.socket) -> Any:
        return End(sock, self.authority.mine)

    @property
    def connect(self) -> dict[str, Any]:
        return {**super().connect, "ssl_context": self.authority.trusting()}
