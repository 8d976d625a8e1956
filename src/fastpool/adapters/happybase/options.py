"""The keyword arguments of a ConnectionPool, as types."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from ..._options import CommonOptions


class GatewayOptions(CommonOptions, total=False):
    """happybase.Connection's arguments but where to connect, and the pool's; ``timeout`` is the socket's, in ms."""

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


class ConnectionPoolOptions(GatewayOptions, total=False):
    """The keyword arguments of a ConnectionPool: those of GatewayOptions, and where to connect."""

    host: str | None
    port: int | None
