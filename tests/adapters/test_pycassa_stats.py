"""The scenarios of pycassa's own tests of its StatsLogger, and PoolLogger's messages: PC-20 to PC-28."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from fastpool.adapters.pycassa import ConnectionPool, NoConnectionAvailable, PoolLogger, PycassaLogger, StatsLogger

from ._cassandra import KEYSPACE, FakeCassandra

ZERO = {
    "created": {"success": 0, "failure": 0},
    "checked_out": 0,
    "checked_in": 0,
    "opened": {"current": 0, "max": 0},
    "disposed": {"success": 0, "failure": 0},
    "recycled": 0,
    "failed": 0,
    "list": 0,
    "at_max": 0,
}


class Server:
    """Stands for a connection: only its server is looked at."""

    server = "localhost:9160"
    operation_count = 7


def test_pc20_empty_and_reset() -> None:
    """PC-20: nothing has happened yet, and all is forgotten."""
    stats = StatsLogger()
    assert stats.stats == ZERO
    stats.connection_failed({})
    assert stats.stats == {**ZERO, "failed": 1}
    stats.reset()
    assert stats.stats == ZERO


@pytest.mark.parametrize(
    ("event", "dic", "changed"),
    [
        ("connection_created", {"level": "info"}, {"created": {"success": 1, "failure": 0}}),
        ("connection_created", {"level": "error"}, {"created": {"success": 0, "failure": 1}}),
        ("connection_checked_out", {}, {"checked_out": 1, "opened": {"current": 1, "max": 1}}),
        ("connection_checked_in", {}, {"checked_in": 1, "opened": {"current": -1, "max": 0}}),
        ("connection_disposed", {"level": "info"}, {"disposed": {"success": 1, "failure": 0}}),
        ("connection_disposed", {"level": "error"}, {"disposed": {"success": 0, "failure": 1}}),
        ("connection_recycled", {}, {"recycled": 1}),
        ("connection_failed", {}, {"failed": 1}),
        ("obtained_server_list", {"server_list": []}, {"list": 1}),
        ("server_list_obtained", {"server_list": []}, {"list": 1}),
        ("pool_disposed", {}, {}),
        ("pool_at_max", {}, {"at_max": 1}),
    ],
    ids=[
        "PC-21", "PC-21-failed", "PC-22-out", "PC-22-in", "PC-23", "PC-23-failed", "PC-24", "PC-25",
        "PC-26-as-dispatched", "PC-26-as-documented", "pool_disposed", "PC-27",
    ],
)  # fmt: skip
def test_pc21_to_pc27_each_event_is_counted(event: str, dic: dict[str, Any], changed: dict[str, Any]) -> None:
    stats = StatsLogger()
    getattr(stats, event)(dic)
    assert stats.stats == {**ZERO, **changed}


def test_pc28_in_a_pool() -> None:
    """PC-28: PC-4 to PC-7 as it is counted."""
    stats = StatsLogger()
    with FakeCassandra() as server:
        pool = ConnectionPool(
            KEYSPACE, [server.address], pool_size=5, max_overflow=5, prefill=True, pool_timeout=0.1, timeout=10,
            use_threadlocal=False, listeners=[stats],
        )  # fmt: skip
        held = [pool.get() for _ in range(10)]
        assert stats.stats["created"] == {"success": 10, "failure": 0} and stats.stats["checked_out"] == 10
        assert stats.stats["opened"] == {"current": 10, "max": 10}
        with pytest.raises(NoConnectionAvailable):
            pool.get()
        assert stats.stats["at_max"] == 1
        for connection in held:
            connection.return_to_pool()
        assert stats.stats["checked_in"] == 10 and stats.stats["disposed"] == {"success": 5, "failure": 0}
        assert stats.stats["opened"] == {"current": 0, "max": 10} and stats.stats["list"] == 1
        pool.close()


CONNECTION = Server()
NUMBER = id(CONNECTION)
MESSAGES = [
    ("connection_created", {"connection": CONNECTION}, f"Connection {NUMBER} (localhost:9160) opened for pool p"),
    (
        "connection_created",
        {"connection": CONNECTION, "level": "warn", "error": OSError("no")},
        "Error opening connection (localhost:9160) for pool p: no",
    ),
    (
        "connection_checked_out",
        {"connection": CONNECTION},
        f"Connection {NUMBER} (localhost:9160) was checked out from pool p",
    ),
    (
        "connection_checked_in",
        {"connection": CONNECTION},
        f"Connection {NUMBER} (localhost:9160) was checked in to pool p",
    ),
    (
        "connection_disposed",
        {"connection": CONNECTION, "message": "why"},
        f"Connection {NUMBER} (localhost:9160) was closed; pool p, reason: why",
    ),
    (
        "connection_disposed",
        {"connection": CONNECTION, "message": "why", "level": "error", "error": OSError("no")},
        f"Error closing connection {NUMBER} (localhost:9160) in pool p, reason: why, error: <class 'OSError'> no",
    ),
    (
        "connection_recycled",
        {"old_conn": CONNECTION, "new_conn": CONNECTION},
        f"Connection {NUMBER} (localhost:9160) is being recycled in pool p after 7 operations; "
        f"it is replaced by connection {NUMBER} (localhost:9160)",
    ),
    (
        "connection_failed",
        {"connection": CONNECTION, "server": "localhost:9160", "error": OSError("no")},
        f"Connection {NUMBER} (localhost:9160) in pool p failed: no",
    ),
    ("obtained_server_list", {"server_list": ["a:1", "b:2"]}, "Server list obtained for pool p: [a:1, b:2]"),
    ("server_list_obtained", {"server_list": ["a:1", "b:2"]}, "Server list obtained for pool p: [a:1, b:2]"),
    ("pool_disposed", {}, "Pool p was disposed"),
    (
        "pool_at_max",
        {"pool_max": 10},
        "Pool p had a checkout request but was already at its max size (10)",
    ),
]


@pytest.mark.parametrize(("event", "dic", "message"), MESSAGES)
def test_what_the_pools_logger_says(
    event: str, dic: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "pycassa"):
        getattr(PoolLogger(), event)({"pool_id": "p", "level": "info", **dic})
    assert caplog.record_tuples == [("pycassa.pool", logging.getLevelName(dic.get("level", "info").upper()
        if dic.get("level") != "warn" else "WARNING"), message)]  # fmt: skip


def test_every_pool_is_logged_by_its_name(caplog: pytest.LogCaptureFixture) -> None:
    with FakeCassandra() as server:
        with caplog.at_level(logging.INFO, "pycassa"):
            pool = ConnectionPool(KEYSPACE, [server.address], pool_size=1, logging_name="orders", timeout=10)
            pool.put(pool.get())
            assert caplog.messages == [], "what is usual is told at the level debug"
        with caplog.at_level(logging.DEBUG, "pycassa"):  # also when the level changes later
            connection = pool.get()
            pool.put(connection)
            pool.dispose()
        about = f"Connection {id(connection)} ({server.address})"
        assert caplog.messages == [
            f"{about} was checked out from pool orders",
            f"{about} was checked in to pool orders",
            f"{about} was closed; pool orders, reason: Pool {id(pool)} is being disposed",
            "Pool orders was disposed",
        ]
        assert pool.name == "orders" == pool.logging_name
        pool.close()


def test_the_loggers_name_and_level_can_be_changed(caplog: pytest.LogCaptureFixture) -> None:
    logger = PycassaLogger()
    assert (logger.get_logger_name(), logger.get_logger_level()) == ("pycassa", "info")
    try:
        logger.set_logger_name("library")
        logger.set_logger_level("critical")
        PoolLogger().pool_disposed({"pool_id": "p", "level": "error"})
        assert caplog.records == []
        PycassaLogger().set_logger_level("debug")
        PoolLogger().pool_disposed({"pool_id": "p", "level": "debug"})
        assert [(record.name, record.levelno) for record in caplog.records] == [("library.pool", logging.DEBUG)]
    finally:
        logger.set_logger_name("pycassa")
        logger.set_logger_level("info")
    with pytest.raises(ValueError, match="level must be one of debug, info, warn, error, critical, not 'loud'"):
        logger.set_logger_level("loud")
