"""fastpool.drivers with real databases: PostgreSQL by psycopg and psycopg2, Redis by redis-py, MariaDB by PyMySQL."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

import pytest

import fastpool
from fastpool.drivers import DBAPI, Psycopg, Redis
from tests.pool.fake_driver import PATIENCE
from tests.pool.real_servers import bound, mariadb_server, postgres_server


@pytest.fixture(scope="module")
def postgres():
    with postgres_server() as address:
        yield address


@pytest.fixture(scope="module")
def mariadb():
    with mariadb_server() as address:
        yield address


class Database:
    """A driver for a real database, and what is said differently in each."""

    def __init__(self, module, driver, address, own_number, end):
        self.module, self.driver, self.address = module, driver, address
        self.own_number, self.end = own_number, end

    def pool(self, driver=None, **options):
        return fastpool.Pool(driver=driver or self.driver(), servers=[self.address], **options)

    @staticmethod
    def ask(connection, query):
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(params=["psycopg", "psycopg2", "DBAPI(psycopg)", pytest.param("pymysql", marks=pytest.mark.drivers)])
def database(request):
    name = request.param.removeprefix("DBAPI(").removesuffix(")")
    module = pytest.importorskip(name)
    if name == "pymysql":
        address = request.getfixturevalue("mariadb")
        driver = lambda **given: DBAPI(module, user="fastpool", database="test", **given)  # noqa: E731
        found = Database(module, driver, address, "SELECT CONNECTION_ID()", "KILL {}")
    else:
        address = request.getfixturevalue("postgres")
        if request.param == "psycopg":
            driver = lambda **given: Psycopg("dbname=postgres", user="postgres", **given)  # noqa: E731
        else:
            driver = lambda **given: DBAPI(module, dbname="postgres", user="postgres", **given)  # noqa: E731
        ask, end = "SELECT pg_backend_pid()", "SELECT pg_terminate_backend({}, 10000)"
        found = Database(module, driver, address, ask, end)
    with found.pool() as pool, pool.connection() as connection:
        found.ask(connection, "DROP TABLE IF EXISTS people")
        found.ask(connection, "CREATE TABLE people (name varchar(20) PRIMARY KEY)")
        connection.commit()
    return found


def test_what_was_not_committed_is_rolled_back(database):
    with database.pool() as pool:
        for name, commits in (("nobody", False), ("somebody", True)):
            with pool.connection() as connection:
                database.ask(connection, f"INSERT INTO people VALUES ('{name}')")
                if commits:
                    connection.commit()
        with pool.connection() as connection:
            assert [*database.ask(connection, "SELECT count(*), min(length(name)) FROM people")] == [(1, 8)]
        assert pool.stats().connects == 1


def test_what_the_server_refuses_costs_no_connection(database):
    with database.pool() as pool:
        for statement in ("SELEKT", "INSERT INTO people VALUES ('x'), ('x')"):
            with pytest.raises(database.module.Error), pool.connection() as connection:
                database.ask(connection, statement)
        with pool.connection() as connection:
            assert len(database.ask(connection, "SELECT * FROM people")) == 0
        assert pool.stats().connects == 1


def test_an_error_of_the_applications_costs_no_connection_whose_state_is_known(database):
    with database.pool() as pool:
        with pytest.raises(KeyError), pool.connection() as connection:
            database.ask(connection, "INSERT INTO people VALUES ('x')")
            raise KeyError
        with pool.connection() as connection:
            assert len(database.ask(connection, "SELECT * FROM people")) == 0
        assert pool.stats().connects == (2 if database.module.__name__ == "pymysql" else 1)


def test_a_connection_that_the_server_ended_is_replaced_before_the_next_caller(database):
    with database.pool(check_after=0) as pool:
        with pool.connection() as connection, pool.connection() as other:
            [(victim,)] = database.ask(connection, database.own_number)
            database.ask(other, database.end.format(victim))
        for _ in range(2):
            with pool.connection() as one, pool.connection() as two:
                assert all(database.ask(c, database.own_number)[0][0] != victim for c in (one, two))
        assert sum(pool.stats().closed.values()) == 1


def test_a_connection_that_breaks_in_its_block_is_replaced(database):
    with database.pool(check_after=None) as pool:
        other = pool.checkout()
        with pytest.raises(database.module.Error), pool.connection() as connection:
            [(victim,)] = database.ask(connection, database.own_number)
            database.ask(other, database.end.format(victim))
            database.ask(connection, "SELECT 1")
        pool.checkin(other)
        with pool.connection() as one, pool.connection() as two:
            assert all(database.ask(c, database.own_number)[0][0] != victim for c in (one, two))


def test_a_connection_that_its_holder_closed_is_replaced(database):
    with database.pool() as pool:
        with pool.connection() as connection:
            connection.close()
        with pool.connection() as connection:
            assert len(database.ask(connection, "SELECT 1")) == 1
        assert not database.driver().check(connection, 1) or not is_closed(connection)


def is_closed(connection):
    return bool(connection.closed) if hasattr(connection, "closed") else not connection.open


def test_autocommit_is_set_and_set_again(database):
    with database.pool(database.driver(autocommit=True)) as pool:
        for _ in range(2):
            with pool.connection() as connection:
                if callable(getattr(connection, "autocommit", None)):
                    assert connection.get_autocommit()
                    connection.autocommit(False)
                else:
                    assert connection.autocommit
                    connection.autocommit = False
        with pool.connection() as connection:
            database.ask(connection, "INSERT INTO people VALUES ('somebody')")
        with pool.connection() as connection:
            assert len(database.ask(connection, "SELECT * FROM people")) == 1
        assert pool.stats().connects == 1


def test_a_check_leaves_no_transaction_open(database):
    with database.pool(check_after=0) as pool:
        with pool.connection():
            pass
        with pool.connection() as connection:
            if hasattr(connection, "info"):
                assert connection.info.transaction_status == 0
        assert pool.stats().connects == 1


def test_another_server_stands_in_for_one_that_refuses(database):
    with socket.socket() as deaf:
        servers = ["{}:{}".format(*bound(deaf)), database.address]
        with fastpool.Pool(driver=database.driver(), servers=servers) as pool, pool.connection() as connection:
            assert len(database.ask(connection, "SELECT 1")) == 1


# ---- what only one of them has


def place(address):
    host, port = address.split(":")
    return host, int(port)


@contextlib.contextmanager
def silent_server():
    """A server that accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()


@pytest.mark.drivers
@pytest.mark.parametrize("name", ["psycopg", "psycopg2", "pymysql"])
def test_a_connect_to_a_silent_server_ends_with_the_checkouts_time(name):
    module = pytest.importorskip(name)
    # PyMySQL's connect_timeout ends with the TCP handshake
    driver = Psycopg() if name == "psycopg" else DBAPI(module, **({"read_timeout": 1} if name == "pymysql" else {}))
    with silent_server() as address, fastpool.Pool(driver=driver, servers=[address]) as pool:
        with pytest.raises((module.Error, fastpool.NoConnectionsAvailable)):
            pool.checkout(timeout=0.3)


def test_psycopg_settings_of_a_holder_end_with_its_lease(postgres):
    psycopg = pytest.importorskip("psycopg")
    with fastpool.Pool(driver=Psycopg(user="postgres"), servers=[postgres], max_size=1) as pool:
        with pool.connection() as connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
            connection.row_factory = psycopg.rows.dict_row
            connection.execute("SELECT 1")
        with pool.connection() as connection:
            assert (connection.read_only, connection.isolation_level) == (None, None)
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert pool.stats().connects == 1


def test_psycopg2_settings_of_a_holder_end_with_its_lease(postgres):
    psycopg2 = pytest.importorskip("psycopg2")
    with fastpool.Pool(driver=DBAPI(psycopg2, user="postgres"), servers=[postgres], max_size=1) as pool:
        with pool.connection() as connection:
            new = connection.isolation_level, connection.readonly, connection.deferrable
            connection.set_session("SERIALIZABLE", True, True)
            connection.cursor().execute("SELECT 1")
        with pool.connection() as connection:
            assert (connection.isolation_level, connection.readonly, connection.deferrable) == new
            connection.cursor().execute("CREATE TEMPORARY TABLE here (n int)")
        assert pool.stats().connects == 1


def test_psycopg_an_interrupted_query_costs_the_connection(postgres):
    pytest.importorskip("psycopg")
    with fastpool.Pool(driver=Psycopg(user="postgres"), servers=[postgres]) as pool:
        with pytest.raises(KeyError), pool.connection() as connection:
            rows = connection.cursor().stream("SELECT generate_series(1, 1000)")
            next(rows)
            raise KeyError
        assert pool.stats().closed["error"] == 1
        del rows


def test_psycopg_a_check_waits_no_longer_than_it_may(postgres):
    """The proxy goes silent after the connect."""
    pytest.importorskip("psycopg")
    with fastpool.testing.FaultProxy(place(postgres)) as proxy:
        driver = Psycopg(user="postgres", host=proxy.host, port=proxy.port)
        with fastpool.Pool(driver=driver) as pool, pool.connection() as connection:
            assert driver.check(connection, PATIENCE)
            proxy.hang()
            assert not driver.check(connection, 0.05)
            proxy.heal()


def test_psycopg_a_bad_conninfo_is_told_at_once():
    psycopg = pytest.importorskip("psycopg")
    with pytest.raises(psycopg.ProgrammingError):
        Psycopg("no such thing")
    with pytest.raises(TypeError, match="conninfo"):
        Psycopg(5432)


def run(program):
    return asyncio.run(asyncio.wait_for(program, PATIENCE * 2))


def test_psycopg_in_an_async_pool(postgres):
    psycopg = pytest.importorskip("psycopg")

    async def program():
        driver = Psycopg(user="postgres", autocommit=False)
        async with fastpool.AsyncPool(driver=driver, servers=[postgres], check_after=0) as pool:
            async with pool.connection() as connection:
                assert isinstance(connection, psycopg.AsyncConnection)
                await connection.execute("CREATE TABLE never (n int)")
            async with pool.connection() as connection:
                assert connection.info.transaction_status == 0
                await connection.set_autocommit(True)
            with pytest.raises(KeyError):
                async with pool.connection() as connection:
                    assert not connection.autocommit
                    found = await (await connection.execute("SELECT to_regclass('never')")).fetchone()
                    assert found == (None,)
                    raise KeyError
            assert pool.stats().connects == 1
            async with pool.connection() as connection, pool.connection() as other:
                victim = connection.info.backend_pid
                await other.execute("SELECT pg_terminate_backend(%s, 10000)", (victim,))
            async with pool.connection() as one, pool.connection() as two:
                for c in (one, two):
                    await c.execute("SELECT 1")
                    assert c.info.backend_pid != victim

    run(program())


def test_redis_in_an_async_pool(redis_address):
    import redis.asyncio

    async def program():
        driver = Redis(decode_responses=True)
        async with fastpool.AsyncPool(driver=driver, servers=[redis_address], check_after=0, max_size=2) as pool:
            async with pool.connection() as client:
                assert isinstance(client, redis.asyncio.Redis)
                await client.execute_command("WATCH", "watched")
            async with pool.connection() as client:
                async with pool.connection() as other:
                    await other.set("watched", "changed")
                async with client.pipeline() as transaction:
                    assert await transaction.get("watched").execute() == ["changed"]
            with pytest.raises(redis.ResponseError):
                async with pool.connection() as client:
                    await client.lpush("watched", 1)
            assert pool.stats().connects == 2

    run(program())


def test_redis_by_url_or_host(redis_address):
    for driver in (Redis(f"redis://{redis_address}/3"), Redis(*place(redis_address), 3)):
        with fastpool.Pool(driver=driver) as pool, pool.connection() as client:
            assert client.client_info()["db"] == 3
    for bad in ({"single_connection_client": True}, {"connection_pool": None}, {"host": 6379}):
        with pytest.raises(TypeError, match=next(iter(bad))):
            Redis(**bad)


def test_redis_a_reply_that_nobody_read_reaches_nobody(redis_address):
    with fastpool.Pool(driver=Redis(), servers=[redis_address], check_after=0, max_size=1) as pool:
        with pool.connection() as client:
            client.set("mine", "1")
        with pool.connection() as client:
            client.connection.send_command("GET", "mine")  # and never read
        with pool.connection() as client:
            assert client.get("other") is None


def test_redis_a_transaction_that_was_left_open_reaches_nobody(redis_address):
    with fastpool.Pool(driver=Redis(), servers=[redis_address], max_size=1) as pool:
        with pool.connection() as client:
            client.execute_command("MULTI")
            client.execute_command("SET", "left", "1")
        with pool.connection() as client:
            assert client.get("left") is None
            assert client.set("after", "1") is True
        assert pool.stats().connects == 2


def test_redis_a_transaction_that_was_left_open_by_a_task_reaches_nobody(redis_address):
    async def program():
        async with fastpool.AsyncPool(driver=Redis(), servers=[redis_address], max_size=1) as pool:
            async with pool.connection() as client:
                await client.execute_command("MULTI")
                await client.execute_command("SET", "left", "1")
            async with pool.connection() as client:
                assert await client.get("left") is None
            assert pool.stats().connects == 2

    run(program())


def test_redis_a_check_waits_no_longer_than_it_may(redis_address):
    with fastpool.testing.FaultProxy(place(redis_address)) as proxy:
        driver = Redis(proxy.host, proxy.port)
        with fastpool.Pool(driver=driver) as pool, pool.connection() as client:
            assert driver.check(client, PATIENCE)
            proxy.hang()
            assert not driver.check(client, 0.05)
            proxy.heal()


def test_redis_threads_share_a_few(redis_address):
    with fastpool.Pool(driver=Redis(), servers=[redis_address], max_size=3) as pool:

        def count():
            for _ in range(20):
                with pool.connection() as client:
                    client.incr("counted")

        threads = [threading.Thread(target=count) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        with pool.connection() as client:
            assert int(client.get("counted")) == 120
        assert pool.stats().connects <= 3
