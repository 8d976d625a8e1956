"""A program that type checkers must accept, and the types that they must infer."""

from __future__ import annotations

import sqlite3
import ssl
from typing import assert_type

import happybase
import psycopg
from psycopg.rows import DictRow, TupleRow, dict_row

import fastpool
from fastpool.adapters import psycopg as psycopg_pools


class Connection:
    def close(self) -> None: ...
    def ping(self) -> bool:
        return True


def connect() -> Connection:
    return Connection()


def connect_to(server: tuple[str, int], timeout: float | None) -> Connection:
    return Connection()


async def aconnect() -> Connection:
    return Connection()


async def aping(c: Connection) -> bool:
    return c.ping()


def pools() -> None:
    pool = fastpool.Pool(connect, check=Connection.ping, keep_on=(LookupError,), max_size=3, timeout=None)
    assert_type(pool, fastpool.Pool[Connection])
    assert_type(pool.connection(timeout=1), fastpool.Lease[Connection])
    with pool as same, pool.connection() as c:
        assert_type(same, fastpool.Pool[Connection])
        assert_type(c, Connection)
    lease = pool.connection()
    with lease as c:
        lease.discard()
        assert_type(lease.connection, Connection)
    by_hand = pool.checkout(timeout=None)
    assert_type(by_hand, Connection)
    pool.checkin(by_hand, discard=True)
    pool.resize(max_size=4, max_idle=None)
    assert_type(pool.warm(), int)
    assert_type(pool.stats(), fastpool.Stats)
    assert_type(pool.leases(), list[fastpool.LeaseInfo])


def servers() -> None:
    fastpool.Pool(connect_to, servers=["a:1", ("b", 2)], balance="least_leased", backoff=(0.1, 1), keep_on=ValueError)
    fastpool.Pool(connect_to, servers=lambda: ["a:1"], balance=lambda servers, leased: servers[0])
    fastpool.Pool(connect, listeners=[{"connected": print}], name="named")


def from_a_library() -> None:
    with fastpool.Pool(lambda: sqlite3.connect(":memory:"), reset=sqlite3.Connection.rollback).connection() as c:
        assert_type(c, sqlite3.Connection)


class Anything(fastpool.Driver):
    def connect(self, server: object, timeout: float | None) -> Connection:
        return Connection()

    def check(self, c: Connection, timeout: float | None) -> bool:
        return c.ping()


class Known(fastpool.Driver[Connection]):
    def connect(self, server: object, timeout: float | None) -> Connection:
        return Connection()

    def usable(self, c: Connection, exc: BaseException) -> bool:
        return c.ping()


class Awaited(fastpool.Driver[Connection]):
    async def connect(self, server: object, timeout: float | None) -> Connection:
        return Connection()

    async def check(self, c: Connection, timeout: float | None) -> bool:
        return c.ping()

    async def reset(self, c: Connection) -> None:
        c.ping()


def drivers() -> None:
    pool = fastpool.Pool(driver=Anything())
    pool.checkout().whatever()
    with fastpool.Pool(driver=Known(), max_size=2).connection() as c:
        assert_type(c, Connection)


def without_a_parameter(pool: fastpool.Pool, other: fastpool.AsyncPool, lease: fastpool.Lease) -> None:
    with pool.connection() as c, lease as d:
        c.whatever(d)


def passed_on(pool: fastpool.Pool[Connection], options: fastpool.PoolOptions) -> fastpool.Pool[Connection]:
    options["max_size"] = 3
    return fastpool.Pool(connect, **options)


def decorated() -> None:
    @fastpool.Pool(connect).connection(timeout=3)
    def double(number: int) -> int:
        return 2 * number

    assert_type(double(2), int)


async def tasks() -> None:
    pool = fastpool.AsyncPool(aconnect, check=aping, reset=aping, max_size=3)
    assert_type(pool, fastpool.AsyncPool[Connection])
    assert_type(pool.connection(), fastpool.AsyncLease[Connection])
    async with pool as same, pool.connection(timeout=3) as c:
        assert_type(same, fastpool.AsyncPool[Connection])
        assert_type(c, Connection)
    by_hand = await pool.checkout()
    assert_type(by_hand, Connection)
    pool.checkin(by_hand)
    await pool.checkout(timeout=None)
    assert_type(await pool.warm(2, timeout=1.5), int)
    assert_type(fastpool.AsyncPool(connect), fastpool.AsyncPool[Connection])
    assert_type(fastpool.AsyncPool(driver=Awaited()), fastpool.AsyncPool[Connection])
    async with fastpool.Pool(connect).aconnection() as c:
        assert_type(c, Connection)
    await pool.close(timeout=3)


def happybases() -> None:
    pool = fastpool.ConnectionPool(3, host="h", timeout=5000, checkout_timeout=2.0, max_idle=1, table_prefix=b"app")
    with pool.connection(timeout=1) as connection:
        assert_type(connection, happybase.Connection)
    with pool.table("users") as table:
        table.row(b"ann")
    with pool.connection(None, table_prefix=b"app", table_prefix_separator="_") as connection:
        assert_type(connection, happybase.Connection)
    by_hand = pool.get_connection(block=False, timeout=None, table_prefix="app")
    assert_type(by_hand, happybase.Connection)
    pool.checkin(by_hand)


class Transport:
    def __init__(self, socket: object, host: str, port: int) -> None: ...


def by_other_wires() -> None:
    context = ssl.create_default_context()
    fastpool.ConnectionPool(3, host="h", ssl_context=context, transport_factory=Transport)
    fastpool.ConnectionPool(3, socket_factory=lambda host, port: (host, port), ssl_context=None)


def by_name() -> None:
    users: fastpool.ConnectionPool = fastpool.get_pool("users")
    users.get_connection()
    with fastpool.get_pool("orders").connection() as c:
        c.whatever()


def psycopgs() -> None:
    with psycopg_pools.ConnectionPool("dbname=shop", min_size=1, max_size=4, check_after=1.0) as pool:
        with pool.connection(timeout=1.0) as conn:
            assert_type(conn, psycopg.Connection[TupleRow])
        by_hand = pool.getconn()
        assert_type(by_hand, psycopg.Connection[TupleRow])
        pool.putconn(by_hand)
    dicts = psycopg_pools.ConnectionPool(connection_class=psycopg.Connection[DictRow], kwargs={"row_factory": dict_row})
    assert_type(dicts.getconn(), psycopg.Connection[DictRow])


async def awaited_psycopgs() -> None:
    async with psycopg_pools.AsyncConnectionPool("dbname=shop", max_waiting=9) as pool:
        async with pool.connection() as conn:
            assert_type(conn, psycopg.AsyncConnection[TupleRow])
        assert_type(await pool.getconn(), psycopg.AsyncConnection[TupleRow])
