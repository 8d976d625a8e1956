"""pycassa's log: PoolLogger's message for each event, and the logger that it uses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


def level_of(dic: dict[str, Any]) -> int:
    """The level of an event as a level of the logging module."""
    return LEVELS[dic.get("level", "info")]


class PycassaLogger:
    """The name and level of the pools' logger, the same for all instances: ``pycassa`` and ``info`` at first."""

    _name = ""
    _level = "info"
    _children: list[tuple[str, Callable[[logging.Logger], None]]] = []  # noqa: RUF012 (shared on purpose)

    def __init__(self) -> None:
        if not PycassaLogger._name:
            self.set_logger_name("pycassa")

    def get_logger(self) -> logging.Logger:
        """The root of the pools' loggers."""
        return logging.getLogger(PycassaLogger._name)

    def set_logger_level(self, level: str) -> None:
        """Set the least level that is logged: ``debug``, ``info``, ``warn``, ``error`` or ``critical``."""
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
        PycassaLogger._level = level
        self.get_logger().setLevel(LEVELS[level])

    def get_logger_level(self) -> str:
        """The level that was set last."""
        return PycassaLogger._level

    def set_logger_name(self, logger_name: str) -> None:
        """Log under another name from now on."""
        PycassaLogger._name = logger_name
        root = self.get_logger()
        if not root.handlers:
            root.addHandler(logging.NullHandler())
        if root.level == logging.NOTSET:
            root.setLevel(LEVELS[PycassaLogger._level])
        for child, changed in PycassaLogger._children:
            changed(logging.getLogger(f"{logger_name}.{child}"))

    def get_logger_name(self) -> str:
        """The name of the root."""
        return PycassaLogger._name

    def add_child_logger(
        self, child_logger_name: str, name_change_callback: Callable[[logging.Logger], None]
    ) -> logging.Logger:
        """Return a logger below the root; the callback gets its successor when the root's name changes."""
        PycassaLogger._children.append((child_logger_name, name_change_callback))
        return logging.getLogger(f"{PycassaLogger._name}.{child_logger_name}")


class PoolLogger:
    """The listener that logs a pool's events; every pool has one. All log to one logger: ``pycassa.pool``."""

    logger: logging.Logger

    def connection_created(self, dic: dict[str, Any]) -> None:
        """``Connection … opened``; of a level above info: ``Error opening connection``."""
        level, conn, pool = level_of(dic), dic.get("connection"), dic.get("pool_id")
        if level <= logging.INFO:
            self.logger.log(level, "Connection %s (%s) opened for pool %s", id(conn), _server(conn), pool)
        else:
            error = dic.get("error")
            self.logger.log(level, "Error opening connection (%s) for pool %s: %s", _server(conn), pool, error)

    def connection_checked_out(self, dic: dict[str, Any]) -> None:
        """``Connection … was checked out from pool …``."""
        conn = dic.get("connection")
        text = "Connection %s (%s) was checked out from pool %s"
        self.logger.log(level_of(dic), text, id(conn), _server(conn), dic.get("pool_id"))

    def connection_checked_in(self, dic: dict[str, Any]) -> None:
        """``Connection … was checked in to pool …``."""
        conn = dic.get("connection")
        text = "Connection %s (%s) was checked in to pool %s"
        self.logger.log(level_of(dic), text, id(conn), _server(conn), dic.get("pool_id"))

    def connection_disposed(self, dic: dict[str, Any]) -> None:
        """``Connection … was closed``; of a level above info: ``Error closing connection``."""
        level, conn, error = level_of(dic), dic.get("connection"), dic.get("error")
        about = (id(conn), _server(conn), dic.get("pool_id"), dic.get("message"))
        if level <= logging.INFO:
            self.logger.log(level, "Connection %s (%s) was closed; pool %s, reason: %s", *about)
        else:
            text = "Error closing connection %s (%s) in pool %s, reason: %s, error: %s %s"
            self.logger.log(level, text, *about, type(error), error)

    def connection_recycled(self, dic: dict[str, Any]) -> None:
        """``Connection … is being recycled in pool … after … operations``."""
        old, new = dic.get("old_conn"), dic.get("new_conn")
        self.logger.log(
            level_of(dic),
            "Connection %s (%s) is being recycled in pool %s after %d operations; it is replaced by connection %s (%s)",
            id(old), _server(old), dic.get("pool_id"), getattr(old, "operation_count", 0), id(new), _server(new),
        )  # fmt: skip

    def connection_failed(self, dic: dict[str, Any]) -> None:
        """``Connection … failed: …``."""
        about = (id(dic.get("connection")), dic.get("server"), dic.get("pool_id"), str(dic.get("error")))
        self.logger.log(level_of(dic), "Connection %s (%s) in pool %s failed: %s", *about)

    def server_list_obtained(self, dic: dict[str, Any]) -> None:
        """``Server list obtained for pool …``."""
        servers = ", ".join(map(str, dic.get("server_list", ())))
        self.logger.log(level_of(dic), "Server list obtained for pool %s: [%s]", dic.get("pool_id"), servers)

    obtained_server_list = server_list_obtained

    def pool_disposed(self, dic: dict[str, Any]) -> None:
        """``Pool … was disposed``."""
        self.logger.log(level_of(dic), "Pool %s was disposed", dic.get("pool_id"))

    def pool_at_max(self, dic: dict[str, Any]) -> None:
        """``Pool … had a checkout request but was already at its max size``."""
        text = "Pool %s had a checkout request but was already at its max size (%s)"
        self.logger.log(level_of(dic), text, dic.get("pool_id"), dic.get("pool_max"))


def _server(connection: Any) -> Any:
    return getattr(connection, "server", None)


def _rename(new_logger: logging.Logger) -> None:
    PoolLogger.logger = new_logger


_rename(PycassaLogger().add_child_logger("pool", _rename))
