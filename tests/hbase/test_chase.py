"""The pool of happybase's issue 21 on a real HBase: its classes on the drop-in for socketpool, and ours instead."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fastpool.adapters.happybase import HappybaseConnectionPool
from tests.adapters._chase import ProcessPool
from tests.pool.fake_driver import PATIENCE
from tools.hbase.cluster import Gateway


def in_crowd(pool: Any, table: str) -> None:
    """Six threads write and read their own rows, each in blocks of its own."""
    faults: list[object] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                key, value = b"%d" % number, b"%d.%d" % (number, turn)
                with pool.table(table) as t:
                    t.put(key, {b"f:a": value})
                with pool.table(table) as t:
                    if t.row(key) != {b"f:a": value}:
                        faults.append((number, turn))
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 3)
    assert faults == [] and not any(thread.is_alive() for thread in threads)


def test_the_issues_pool(gateway_of: Callable[..., Gateway], table: str) -> None:
    gateway = gateway_of()
    chase = ProcessPool(gateway.host, port=gateway.port, max_size=2, logging=logging.getLogger("chase"))
    try:
        in_crowd(chase, table)
        assert len(chase.pool) <= 2
        with pytest.raises(ValueError, match="mine"), chase.connection():
            raise ValueError("mine")
        with chase.connection() as connection:
            assert table.encode() in connection.tables()
    finally:
        chase.pool.close()
        ProcessPool._instance = None


def test_ours_instead(gateway_of: Callable[..., Gateway], table: str) -> None:
    gateway = gateway_of()
    with HappybaseConnectionPool(gateway.host, str(gateway.port), max_size=2) as pool:
        in_crowd(pool, table)
        assert HappybaseConnectionPool(gateway.host, gateway.port, max_size=2) is pool and len(pool) <= 2
        with pool.connection() as c:
            assert table.encode() in c.tables()
