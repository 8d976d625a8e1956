"""The examples that need a real database: PostgreSQL and Redis, started here, skipped where not installed."""

import socket

import pytest

import fastpool
from tests.pool.real_servers import bound, free_port, postgres_server, redis_server
from tests.pool.test_examples import EXAMPLES, example

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the tests run without the checkout around them")


@pytest.fixture(scope="module")
def postgres():
    pytest.importorskip("psycopg")
    with postgres_server() as address:
        yield address


# ---- PostgreSQL


def test_postgres(postgres, capsys):
    example("postgres").main("postgres", postgres)
    version, queries, pool = capsys.readouterr().out.splitlines()
    assert version.startswith("PostgreSQL ")
    assert queries == "20 queries, 1 connection(s)"
    assert "0 leased, 1 idle" in pool


def test_postgres_what_the_server_refuses_keeps_the_connection(postgres):
    pg = example("postgres")
    with pg.open_pool([postgres], "postgres") as pool:
        pg.ask(pool, "CREATE TABLE once (n int PRIMARY KEY)")
        pg.ask(pool, "INSERT INTO once VALUES (%s)", 1)
        with pytest.raises(pg.psycopg.errors.UniqueViolation):
            pg.ask(pool, "INSERT INTO once VALUES (%s)", 1)
        with pytest.raises(pg.psycopg.errors.SyntaxError), pool.connection() as connection:
            connection.execute("SELEKT")
        assert pg.ask(pool, "SELECT n FROM once") == [(1,)]
        assert pool.stats().connects == 1


def test_postgres_an_open_transaction_is_rolled_back(postgres):
    pg = example("postgres")
    with pg.open_pool([postgres], "postgres") as pool:
        with pool.connection() as connection:
            connection.execute("CREATE TABLE never (n int)")
        with pool.connection() as connection:
            assert connection.info.transaction_status == pg.TransactionStatus.IDLE
        assert pg.ask(pool, "SELECT count(*) FROM pg_tables WHERE tablename = 'never'") == [(0,)]
        assert pool.stats().connects == 1


def test_postgres_a_backend_that_was_ended_is_replaced_before_the_next_query(postgres):
    pg = example("postgres")
    with pg.open_pool([postgres], "postgres", check_after=0) as pool:
        with pool.connection() as connection:
            victim = connection.info.backend_pid
            with pool.connection() as other:
                ended = other.execute("SELECT pg_terminate_backend(%s, 10000)", (victim,)).fetchone()
        assert ended == (True,)
        held = [pool.checkout() for _ in range(2)]
        assert all(c.execute("SELECT 1").fetchone() == (1,) for c in held)
        assert victim not in {c.info.backend_pid for c in held}
        for c in held:
            pool.checkin(c)
        assert pool.stats().closed["dead"] + pool.stats().closed["desync"] + pool.stats().closed["error"] == 1


def test_postgres_a_server_that_is_down_is_left_alone(postgres):
    pg = example("postgres")
    with (
        socket.socket() as deaf,
        pg.open_pool(["{}:{}".format(*bound(deaf)), postgres], "postgres", backoff=(60, 60)) as pool,
    ):
        assert pg.ask(pool, "SELECT 1") == [(1,)]
        pool.clear()
        assert pg.ask(pool, "SELECT 1") == [(1,)]
        assert len(pool.connector.states()) == 1


# ---- Redis


def test_redis(redis_address, capsys):
    example("redis_py").main(redis_address)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [f"visit {n} of the home page" for n in (1, 2, 3)]
    assert "0 leased, 1 idle" in lines[3]


def test_redis_an_error_of_the_server_keeps_the_connection(redis_address):
    example_ = example("redis_py")
    with example_.open_pool([redis_address]) as pool:
        with pytest.raises(example_.redis.ResponseError), pool.connection() as client:
            client.lpush("visits:home", 1)
            client.incr("visits:home")
            client.lpush("visits:home", 1)
        assert pool.stats().connects == 1


def test_redis_a_watch_left_behind_does_not_reach_the_next_user(redis_address):
    example_ = example("redis_py")
    with example_.open_pool([redis_address], max_overflow=0) as pool:
        with pool.connection() as client:
            client.execute_command("WATCH", "watched")
        with pool.connection() as client, pool.connection() as other:
            other.set("watched", "changed")
            with client.pipeline() as transaction:
                transaction.get("watched")
                assert transaction.execute() == ["changed"]


def test_redis_a_connection_the_server_killed_is_replaced(redis_address):
    example_ = example("redis_py")
    with example_.open_pool([redis_address], check_after=0) as pool:
        with pool.connection() as client:
            number = client.client_id()
        with pool.connection() as client, pool.connection() as other:
            assert client.client_id() == number
            other.client_kill_filter(_id=number)
        with pool.connection() as one, pool.connection() as two:
            assert number not in {one.client_id(), two.client_id()}


def test_redis_when_it_restarts_the_pool_recovers():
    pytest.importorskip("redis")
    example_ = example("redis_py")
    port = free_port()
    with redis_server(port) as address:
        pool = example_.open_pool([address], check_after=0, backoff=(0, 0))
        assert example_.count_view(pool, "home") == 1
    with pytest.raises(example_.redis.ConnectionError):
        example_.count_view(pool, "home")
    with redis_server(port):
        assert example_.count_view(pool, "home") == 1
    pool.close()
    with pytest.raises(fastpool.PoolClosed):
        example_.count_view(pool, "home")
