"""The database drivers' own connections, asked for what SQLAlchemy's dialects do not tell."""

from __future__ import annotations

from contextlib import suppress
from typing import Any


def descriptor_of(c: Any) -> int | None:
    """The descriptor of the socket below a driver's own connection, for the probe that reads nothing.

    None if the driver does not tell it; raises if the connection is closed. Only the class is asked whether it has a
    ``fileno``: a connection that makes up its attributes (a mock) has none.
    """
    kind = type(c)
    if hasattr(kind, "fileno"):
        fd = c.fileno()
        return fd if isinstance(fd, int) else None
    find = _FINDERS.get(kind.__module__.partition(".")[0])
    return None if find is None else find(c)


def is_closed(c: Any) -> bool:
    """Whether the connection has been closed on this side."""
    try:
        fd = descriptor_of(c)
    except Exception:
        return True
    return fd is not None and fd < 0


def _of_asyncpg(c: Any) -> int | None:
    if c.is_closed():
        raise ValueError(f"{c!r} has been closed")
    sock = c._transport.get_extra_info("socket")
    return None if sock is None else int(sock.fileno())


def _of_pymysql(c: Any) -> int:
    return int(c._sock.fileno())  # an AttributeError if it is closed: it has no socket then


_FINDERS = {"asyncpg": _of_asyncpg, "pymysql": _of_pymysql}


def end_without_loop(adapted: Any) -> None:
    """Close a connection of asyncio whose event loop is closed, as far as that goes without a loop.

    ``adapted``: the connection as SQLAlchemy's dialect has it. aiosqlite's thread ends, and psycopg's socket is closed;
    asyncpg's socket is closed when it is collected.
    """
    with suppress(Exception):
        if hasattr(adapted, "_terminate_force_close"):
            adapted._terminate_force_close()
        elif hasattr(adapted.driver_connection, "pgconn"):
            adapted.driver_connection.pgconn.finish()
        else:
            adapted.driver_connection.stop()  # aiosqlite, with SQLAlchemy before 2.0.46
