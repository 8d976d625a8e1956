"""A program with an error in each line that says `error`, with mypy's code, and in no other line."""

from __future__ import annotations

import fastpool


class Connection:
    def ping(self) -> bool:
        return True


class Other: ...


def connect() -> Connection:
    return Connection()


def other(c: Other) -> None: ...


async def aconnect() -> Connection:
    return Connection()


def options() -> None:
    fastpool.Pool(connect, max_sise=3)  # error: call-overload
    fastpool.Pool(connect, max_size="3")  # error: call-overload
    fastpool.Pool(connect, balance="least_loaded")  # error: call-overload
    fastpool.Pool(connect, close=other)  # error: misc
    fastpool.AsyncPool(aconnect, timeout="1 s")  # error: call-overload
    fastpool.Pool(connect).resize(timeout=3)  # error: call-arg
    fastpool.Pool(connect).warm("all")  # error: arg-type
    fastpool.ConnectionPool(3, hosst="h")  # error: call-arg
    fastpool.ConnectionPool(3, max_size=4)  # error: call-arg
    fastpool.ConnectionPool(3).connection(table_prefix=3)  # error: arg-type
    fastpool.ConnectionPool(3).get_connection(block="no")  # error: arg-type
    fastpool.Pool(connect).connection(table_prefix=b"app")  # error: call-arg
    fastpool.get_pool(3)  # error: arg-type
    fastpool.ConnectionPool(3, ssl_context=True)  # error: arg-type
    fastpool.ConnectionPool(3, transport_factory=Other)  # error: arg-type
    more: fastpool.PoolOptions = {"max_sizes": 3}  # error: typeddict-unknown-key
    fastpool.Pool(connect, **more)


def drivers() -> None:
    fastpool.Pool(driver=fastpool.Driver)  # error: call-overload
    fastpool.Pool(connect, driver=fastpool.Driver())  # error: call-overload
    fastpool.Pool()  # error: call-overload


class Refused(fastpool.Driver[Connection]):
    def check(self, c: Other, timeout: float | None) -> bool:  # error: override
        return True


def connections(pool: fastpool.Pool[Connection]) -> None:
    with pool.connection() as c:
        c.pong()  # error: attr-defined
    wrong: Other = pool.checkout()  # error: assignment
    pool.checkin(wrong)  # error: arg-type
    pool.connection(timeout="1")  # error: arg-type
    misnamed: fastpool.Pool[Other] = pool  # error: assignment
    misnamed.close()


async def tasks(pool: fastpool.AsyncPool[Connection]) -> None:
    with pool.connection() as c:  # error: attr-defined
        c.ping()
    with pool:  # error: attr-defined
        pass
    async with fastpool.Pool(connect).connection():  # error: attr-defined
        pass
    async with pool.connection() as d:
        d.pong()  # error: attr-defined
    wrong: Connection = pool.checkout()  # error: assignment
    pool.checkin(wrong)
