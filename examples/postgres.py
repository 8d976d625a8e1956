"""Pooling psycopg's connections to PostgreSQL: a whole Driver, and fail-over between servers.

python examples/postgres.py postgres 127.0.0.1:5432 127.0.0.1:5433
"""

import math
import sys
from typing import Any, LiteralString

import psycopg
from psycopg.pq import TransactionStatus

import fastpool

Connection = psycopg.Connection[tuple[Any, ...]]


class Postgres(fastpool.Driver[Connection]):
    """The functions that a pool of psycopg connections needs."""

    def __init__(self, **conninfo: Any) -> None:
        self.conninfo = conninfo

    def connect(self, server: tuple[str, int], timeout: float | None) -> Connection:
        host, port = server
        # libpq counts whole seconds, and takes less than 2 as 2
        limit: dict[str, Any] = {} if timeout is None else {"connect_timeout": max(math.ceil(timeout), 2)}
        return psycopg.connect(host=host, port=port, **limit, **self.conninfo)

    def check(self, c: Connection, timeout: float | None) -> bool:
        c.execute("SELECT 1")
        c.rollback()
        return True

    def reset(self, c: Connection) -> None:
        # An open transaction would keep its locks and its snapshot; a failed one refuses every statement.
        if c.info.transaction_status != TransactionStatus.IDLE:
            c.rollback()

    def usable(self, c: Connection, exc: BaseException) -> bool:
        # An error that the server reported (a duplicate key, a typing error) leaves the connection intact. An
        # interrupted query does not: its rows may still be on their way.
        return (
            isinstance(exc, psycopg.Error)
            and not c.broken
            and c.info.transaction_status
            in (TransactionStatus.IDLE, TransactionStatus.INTRANS, TransactionStatus.INERROR)
        )

    def close(self, c: Connection) -> None:
        c.close()


def open_pool(servers: list[str], user: str, **options: Any) -> fastpool.Pool[Connection]:
    driver = Postgres(user=user, dbname="postgres", application_name="fastpool")
    return fastpool.Pool(
        driver=driver, servers=servers, balance="least_leased", max_size=4, max_lifetime=3600, **options
    )


def ask(pool: fastpool.Pool[Connection], query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a query, in a transaction of its own."""
    with pool.connection() as connection, connection.transaction():
        cursor = connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []


def main(user: str, *servers: str) -> None:
    with open_pool(list(servers), user) as pool:
        [[version]] = ask(pool, "SHOW server_version")
        print(f"PostgreSQL {version}")
        backends = {ask(pool, "SELECT pg_backend_pid()")[0][0] for _ in range(20)}
        print(f"20 queries, {len(backends)} connection(s)")
        print(pool)


if __name__ == "__main__":
    main(*sys.argv[1:])
