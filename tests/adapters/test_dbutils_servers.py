"""The drop-in for DBUtils' PooledDB on real databases: PostgreSQL by psycopg2, MariaDB by PyMySQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fastpool.adapters.dbutils import PooledDB
from tests.pool.real_servers import mariadb_server, postgres_server

pytestmark = pytest.mark.drivers
_ASK_TIMEOUT = "SELECT setting::int FROM pg_settings WHERE name = 'lock_timeout'"


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as address:
        yield address


@pytest.fixture(scope="module")
def mariadb() -> Iterator[str]:
    with mariadb_server() as address:
        yield address


class Database:
    """A module, the arguments of its connect, and what is said differently in each."""

    def __init__(self, name: str, address: str) -> None:
        self.module = pytest.importorskip(name)
        host, _, port = address.partition(":")
        self.arguments: dict[str, Any] = {"host": host, "port": int(port)}
        if name == "pymysql":
            self.arguments |= {"user": "fastpool", "database": "test"}
            self.number, self.end = "SELECT CONNECTION_ID()", "KILL {}"
            self.setting, self.ask_setting = "SET SESSION lock_wait_timeout = 77", "SELECT @@lock_wait_timeout"
        else:
            self.arguments |= {"user": "postgres", "dbname": "postgres"}
            self.number, self.end = "SELECT pg_backend_pid()", "SELECT pg_terminate_backend({}, 10000)"
            self.setting, self.ask_setting = (
                "SET lock_timeout = 77",
                _ASK_TIMEOUT,
            )

    def pool(self, *args: Any, **options: Any) -> PooledDB:
        return PooledDB(self.module, *args, **self.arguments, **options)

    def end_all(self, numbers: list[int]) -> None:
        """Have the server end these connections."""
        con = self.module.connect(**self.arguments)
        for number in numbers:
            con.cursor().execute(self.end.format(number))
        con.close()


@pytest.fixture(params=["psycopg2", "pymysql"])
def database(request: pytest.FixtureRequest) -> Database:
    found = Database(request.param, request.getfixturevalue("mariadb" if request.param == "pymysql" else "postgres"))
    with found.pool() as pool, pool.connection() as con:
        ask(con, "DROP TABLE IF EXISTS people")
        ask(con, "CREATE TABLE people (name varchar(20) PRIMARY KEY)")
        con.commit()
    return found


def ask(con: Any, query: str) -> Any:
    """The first value of the first row."""
    with con.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0] if cursor.description else None


def test_idle_connections_that_the_server_ended_are_not_handed_out(database: Database) -> None:
    with database.pool(3, maxconnections=3) as pool:
        held = [pool.connection() for _ in range(3)]
        before = [ask(con, database.number) for con in held]
        for con in held:
            con.close()
        database.end_all(before)
        held = [pool.connection() for _ in range(3)]
        assert {ask(con, database.number) for con in held}.isdisjoint(before)
        for con in held:
            con.begin()  # nothing is opened again from here on, so they were good when they were handed out
            assert ask(con, "SELECT 1") == 1


def test_a_statement_is_repeated_on_a_new_connection_unless_in_a_transaction(database: Database) -> None:
    with database.pool() as pool, pool.connection() as con:
        first = ask(con, database.number)
        database.end_all([first])
        second = ask(con, database.number)
        assert second != first
        con.begin()
        ask(con, "INSERT INTO people VALUES ('x')")
        database.end_all([second])
        with pytest.raises(database.module.Error):
            ask(con, "INSERT INTO people VALUES ('y')")
        assert ask(con, "SELECT count(*) FROM people") == 0


def test_what_was_not_committed_is_rolled_back(database: Database) -> None:
    with database.pool(maxconnections=1) as pool:
        for name, commits in (("nobody", False), ("somebody", True)):
            with pool.connection() as con:
                ask(con, f"INSERT INTO people VALUES ('{name}')")
                if commits:
                    con.commit()
        with pool.connection() as con:
            assert ask(con, "SELECT min(length(name)) FROM people") == len("somebody")
            assert ask(con, "SELECT count(*) FROM people") == 1


def test_a_sessions_settings_outlive_the_rollback(database: Database) -> None:
    """On PostgreSQL, DBUtils' first rollback undoes them."""
    with database.pool(1, setsession=[database.setting], maxconnections=1) as pool:
        for _ in range(3):
            with pool.connection() as con:
                assert ask(con, database.ask_setting) == 77


def test_a_connection_that_breaks_in_a_block_is_not_handed_out(database: Database) -> None:
    with database.pool(maxconnections=1, ping=0) as pool:
        with pool.connection() as con:
            number = ask(con, database.number)
            database.end_all([number])
        with pool.connection() as con:
            con.begin()
            assert ask(con, database.number) != number


def test_a_keepalive_asks_the_server(database: Database) -> None:
    with database.pool(1) as pool, pool.connection() as con:
        number = ask(con, database.number)
        assert pool._keep_alive(0) == 0
        con.close()
        assert (pool._keep_alive(0), pool.stats().idle) == (0, 1)
        database.end_all([number])
        assert (pool._keep_alive(0), pool.stats().idle) == (1, 0)
