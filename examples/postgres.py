"""Pooling psycopg's connections to PostgreSQL, with fail-over between servers.

python examples/postgres.py postgres 127.0.0.1:5432 127.0.0.1:5433
"""

import sys
from typing import Any, LiteralString

import psycopg
from psycopg.pq import TransactionStatus

import fastpool

Connection = psycopg.Connection[tuple[Any, ...]]


def open_pool(servers: list[str], user: str, **options: Any) -> fastpool.Pool[Connection]:
    driver = fastpool.drivers.Psycopg(user=user, dbname="postgres", application_name="fastpool")
    return fastpool.Pool(
        driver=driver, servers=servers, balance="least_leased", max_size=4, max_lifetime=3600, **options
    )


def ask(pool: fastpool.Pool[Connection], query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a query, in a transaction of its own."""
    with pool.connection() as connection:
        assert connection.info.transaction_status == TransactionStatus.IDLE  # whatever the last holder left behind
        with connection.transaction():
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
