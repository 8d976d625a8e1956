"""What a ConnectionPool can be given by name, as types."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from ..._options import CommonOptions


class ConnectionPoolOptions(CommonOptions, total=False):
    """happybase.Connection's arguments, and the pool's options; ``timeout`` is the socket's, in milliseconds."""

    host: str | None
    port: int | None
    timeout: int | None
    autoconnect: bool
    table_prefix: str | bytes | None
    table_prefix_separator: str | bytes
    compat: str
    transport: str
    protocol: str
    ssl_context: ssl.SSLContext | None
    socket_factory: Callable[[str, int], Any] | None
    transport_factory: Callable[[Any, str, int], Any] | None
