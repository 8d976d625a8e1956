"""How connections reach the server: TLS, and the user's own sockets and transports."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any


class Wire:
    """How connections reach the server; TypeError or ValueError for bad arguments."""

    def __init__(self, ssl_context: Any = None, socket_factory: Any = None, transport_factory: Any = None) -> None:
        if ssl_context is not None and not isinstance(ssl_context, ssl.SSLContext):
            raise TypeError(f"ssl_context must be an ssl.SSLContext or None, not {ssl_context!r}")
        for name, factory in (("socket_factory", socket_factory), ("transport_factory", transport_factory)):
            if factory is not None and not callable(factory):
                raise TypeError(f"{name} must be callable or None, not {factory!r}")
        if ssl_context is not None and socket_factory is not None:
            raise ValueError(
                f"ssl_context={ssl_context!r} cannot be given with socket_factory: both say what the socket is; "
                "let the factory make a thriftpy2.transport.TSSLSocket"
            )
        self.ssl_context: ssl.SSLContext | None = ssl_context
        self.socket_factory: Callable[[str, int], Any] | None = socket_factory
        self.transport_factory: Callable[[Any, str, int], Any] | None = transport_factory

    @property
    def has_factories(self) -> bool:
        return self.socket_factory is not None or self.transport_factory is not None
