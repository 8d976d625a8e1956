"""HTTP: persistent connections of the standard library's http.client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._driver import Driver

if TYPE_CHECKING:
    import ssl
    from http.client import HTTPConnection


class HTTP(Driver["HTTPConnection"]):
    """Opens http.client's connections to ``host`` and ``port``, or to the pool's ``servers``.

    ``timeout``: seconds that a send or receive may take. ``tls``: for HTTPS. ``ssl_context``: likewise, instead of the
    default context. What else is given goes to ``HTTPConnection`` (``source_address``, ``blocksize``).

    A connection is used again, whatever exception left the block, if the last response was read to its end, and the
    server did not close it. One with a response that nobody read is replaced.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        timeout: float | None = 10.0,
        tls: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        **kwargs: Any,
    ) -> None:
        if host is not None and not isinstance(host, str):
            raise TypeError(f"host must be a name or an address, not {host!r}")
        self.host, self.port = host, port
        self.timeout = timeout
        self.tls, self.ssl_context = tls or ssl_context is not None, ssl_context
        self.kwargs = kwargs

    def connect(self, server: Any, timeout: float | None) -> HTTPConnection:
        """Connect; ``timeout`` limits this, the driver's own what comes after."""
        from ._http_connection import PooledHTTP, PooledHTTPS

        host, port = (self.host, self.port) if server is None else server
        if host is None:
            raise TypeError("host must be given, or the pool's servers")
        limit = self.timeout if timeout is None else timeout
        if self.tls:
            c: Any = PooledHTTPS(host, port, timeout=limit, context=self.ssl_context, **self.kwargs)
        else:
            c = PooledHTTP(host, port, timeout=limit, **self.kwargs)
        try:
            c.connect()
            c.sock.settimeout(self.timeout)
            c.timeout = self.timeout  # http.client connects again by itself if the block goes on after a last response
        except BaseException:
            c.close()
            raise
        return c  # type: ignore[no-any-return]

    def reset(self, c: Any) -> None:
        """Refuse a connection whose last response was not read to its end."""
        if not c.is_in_step():
            raise ValueError("the last response was not read to its end, so the connection cannot be used again")

    def usable(self, c: Any, exc: BaseException) -> bool:
        """If it is open and in step."""
        return c.sock is not None and c.is_in_step()

    def fileno(self, c: Any) -> int:
        """The socket's descriptor; raises if it is closed."""
        if c.sock is None:
            raise ValueError(f"{c!r} is closed")
        return int(c.sock.fileno())
