"""Other ways to a scripted server than by plain TCP: TLS, and factories of sockets and transports."""

from __future__ import annotations

from typing import Any

from thriftpy2.transport import TBufferedTransport, TFramedTransport, TSocket, TSSLSocket
from thriftpy2.transport.buffered import TBufferedTransport as PlainBuffered
from thriftpy2.transport.framed import TFramedTransport as PlainFramed

from ._scripted import ScriptedServer
from ._tls import TlsServer


class BySocket(ScriptedServer):
    """Its clients use a thriftpy2 socket of their own."""

    @property
    def connect(self) -> dict[str, Any]:
        return {**super().connect, "socket_factory": TSocket}


class ByTransport(ScriptedServer):
    """Its clients use one of thriftpy2's compiled transports, which they make themselves."""

    @property
    def connect(self) -> dict[str, Any]:
        kind = TFramedTransport if self.transport == "framed" else TBufferedTransport
        return {**super().connect, "transport": "buffered", "transport_factory": lambda sock, host, port: kind(sock)}


class ByBoth(ScriptedServer):
    """Its clients use a socket and a transport in Python."""

    @property
    def connect(self) -> dict[str, Any]:
        kind = PlainFramed if self.transport == "framed" else PlainBuffered
        made = {"socket_factory": TSocket, "transport_factory": lambda sock, host, port: kind(sock)}
        return {**super().connect, "transport": "buffered", **made}


class ByTransportOverTls(TlsServer):
    """Its clients make their transport over the pool's own TLS."""

    @property
    def connect(self) -> dict[str, Any]:
        kind = TFramedTransport if self.transport == "framed" else TBufferedTransport
        return {**super().connect, "transport": "buffered", "transport_factory": lambda sock, host, port: kind(sock)}


class BySslSocket(TlsServer):
    """Its clients use thriftpy2's own TLS socket."""

    @property
    def connect(self) -> dict[str, Any]:
        connect = super().connect
        context = connect.pop("ssl_context")
        return {**connect, "socket_factory": lambda host, port: TSSLSocket(host, port, ssl_context=context)}


WAYS = {
    "tls": TlsServer,
    "socket": BySocket,
    "transport": ByTransport,
    "both": ByBoth,
    "transport over tls": ByTransportOverTls,
    "ssl socket": BySslSocket,
}
