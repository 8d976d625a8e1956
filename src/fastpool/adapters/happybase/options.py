"""The keyword arguments of a ConnectionPool, as types."""

from __future__ import annotations

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
