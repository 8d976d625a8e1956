"""FastPool beside QueuePool: the same events and log lines; then dispose and recreate, forks, threads."""

from __future__ import annotations

import gc
import logging
import re
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

from sqlalchemy import create_engine
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import Pool, QueuePool

import fastpool
from fastpool.adapters.sqlalchemy import FastPool
from tests.pool.fake_driver import PATIENCE, frees_what_is_dropped, until
from tests.process._scripts import run

from ._sqlalchemy import Database, database, heard


@pytest.fixture
def db() -> Iterator[Database]:
    with database() as db:
        yield db


# ---- the same as QueuePool


def use(pool: Pool) -> None:
    c = pool.connect()
    c.close()
    c = pool.connect()
    c.invalidate(ValueError("broken"))
    c = pool.connect()
    c.invalidate(soft=True)
    c.close()
    c = pool.connect()
    c.detach()
    c.close()
    many = [pool.connect() for _ in range(4)]
    for c in many:
        c.close()
    pool.dispose()


def test_the_events_are_queue_pools(db: Database) -> None:
    told = {}
    for kind in (QueuePool, FastPool):
        pool = kind(db.connect, pool_size=2, max_overflow=2)
        told[kind] = heard(pool)
        use(pool)
    assert told[FastPool] == told[QueuePool]
    assert set(told[FastPool]) > {"connect", "checkout", "checkin", "invalidate", "soft_invalidate", "close", "detach"}
    assert db.open == 0


def test_the_events_of_a_reconnect_that_fails_are_queue_pools(db: Database) -> None:
    told = {}
    for kind in (QueuePool, FastPool):
        pool = kind(db.connect, pool_size=1, max_overflow=0)
        told[kind] = heard(pool)
        pool.connect().invalidate()
        db.refusal = OSError("no server here")
        with pytest.raises(OSError, match="no server here"):
            pool.connect()
        db.refusal = None
        pool.connect().close()
        assert pool.checkedin() == 1
        pool.dispose()
    assert told[FastPool] == told[QueuePool]
    assert told[FastPool].count("connect") == 2


def test_the_log_lines_are_queue_pools(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    told = {}
    caplog.set_level(logging.DEBUG, "sqlalchemy.pool")
    for kind in (QueuePool, FastPool):
        caplog.clear()
        use(kind(db.connect, pool_size=2, max_overflow=2, echo="debug", logging_name="same"))
        lines = [record.getMessage() for record in caplog.records if record.name.startswith("sqlalchemy.pool")]
        told[kind] = [re.sub(r"0x[0-9a-f]+", "", line) for line in lines]
    assert told[FastPool] == told[QueuePool]
    assert "Pool disposed. Pool size: 2  Connections in pool: 0" in told[FastPool][-1]
    logging.getLogger("sqlalchemy.pool").setLevel(logging.NOTSET)


def test_a_listener_may_refuse_a_connection(db: Database) -> None:
    pool = FastPool(db.connect, pool_size=1, max_overflow=0, events=[(refuse_the_first, "checkout")])
    c = pool.connect()
    assert (c.dbapi_connection.number, db.made[0].closed, pool.checkedout()) == (1, True, 1)  # type: ignore[attr-defined]
    c.close()
    pool.close()


def refuse_the_first(c: Any, record: Any, proxy: Any) -> None:
    if c.number == 0:
        raise DisconnectionError("this one will not do")


# ---- dispose and recreate


def engine_of(db: Database, **options: Any) -> Any:
    return create_engine("sqlite://", creator=db.connect, poolclass=FastPool, _initialize=False, **options)


def test_dispose_closes_what_is_idle_now_and_what_is_out_when_it_comes_back(db: Database) -> None:
    engine = engine_of(db, pool_size=3)
    out, idle = engine.raw_connection(), engine.raw_connection()
    idle.close()
    old = engine.pool
    engine.dispose()
    assert [c.closed for c in db.made] == [False, True]
    out.close()
    assert ([c.closed for c in db.made], old.checkedin()) == ([True, True], 0)
    with closing(engine.raw_connection()) as c:
        assert c.dbapi_connection is db.made[2]
    engine.dispose()


def test_after_dispose_without_recreate_the_pool_goes_on(db: Database) -> None:
    pool = FastPool(db.connect)
    out = pool.connect()
    pool.dispose()
    out.close()
    assert (pool.checkedin(), pool.connect().dbapi_connection is db.made[0]) == (1, True)  # type: ignore[comparison-overlap]
    pool.close()


def test_a_caller_who_waits_when_the_engine_is_disposed_is_served(db: Database) -> None:
    engine = engine_of(db, pool_size=1, max_overflow=0, pool_timeout=PATIENCE)
    out = engine.raw_connection()
    old, got = engine.pool, []

    def wait() -> None:
        with closing(old.connect()) as c:
            got.append(c.dbapi_connection)

    waiter = threading.Thread(target=wait)
    waiter.start()
    until(lambda: old.stats().waiting == 1)
    engine.dispose()
    out.close()
    waiter.join(PATIENCE)
    assert (got, db.made[0].closed) == ([db.made[1]], True)
    engine.dispose()


def test_nothing_is_opened_ahead_of_use_after_dispose(db: Database) -> None:
    engine = engine_of(db, pool_size=4, min_size=3)
    with closing(engine.raw_connection()):
        pass
    until(lambda: engine.pool.checkedin() >= 3)
    old = engine.pool
    engine.dispose()
    assert (db.open, old._pool.keeping, engine.pool.checkedin()) == (0, None, 0)
    with closing(engine.raw_connection()):
        pass
    until(lambda: engine.pool.checkedin() >= 3)
    assert (db.open, old.checkedin()) == (engine.pool.checkedin(), 0)
    engine.pool.close()


def test_the_name_goes_to_the_new_pool(db: Database) -> None:
    engine = engine_of(db, name="the engine's")
    held = engine.raw_connection()
    engine.dispose()
    assert fastpool.get_pool("the engine's") is engine.pool._pool
    held.close()
    engine.pool.close()


def test_recreate_keeps_arguments_and_listeners(db: Database) -> None:
    pool = FastPool(
        db.connect, pool_size=2, max_overflow=3, timeout=4, use_lifo=True, recycle=60, pre_ping=True,
        reset_on_return="commit", logging_name="x", max_lifetime=50, min_size=1, open=True,
    )  # fmt: skip
    names = heard(pool)
    again = pool.recreate()
    assert (again._pool.config, again.checkedin()) == (pool._pool.config, 0)
    assert (again._recycle, again._pre_ping, again._reset_on_return) == (60, True, pool._reset_on_return)
    again.connect().close()
    assert names[:2] == ["first_connect", "connect"]
    for one in (pool, again):
        one.close()


@frees_what_is_dropped
def test_a_dropped_engine_is_collected(db: Database) -> None:
    engine = engine_of(db)
    with closing(engine.raw_connection()):
        pass
    pools = [weakref.ref(engine.pool), weakref.ref(engine.pool._pool)]
    del engine
    gc.collect()
    assert [pool() for pool in pools] == [None, None]


# ---- processes and threads


@pytest.mark.parametrize("disposed", [False, True])
def test_a_forked_child_leaves_its_parents_connections_alone(disposed: bool) -> None:
    said = run(
        """
        import os, socket, sys
        from fastpool.adapters.sqlalchemy import FastPool

        class Connection:
            def __init__(self):
                self.sock, self.peer = socket.socketpair()
            def rollback(self):
                self.sock.send(b"R")
            def close(self):
                self.sock.send(b"X")
                self.sock.close()
            def __del__(self):
                if self.sock.fileno() >= 0:
                    self.sock.send(b"D")

        pool = FastPool(Connection, reset_on_return=None)
        idle, out = pool.connect(), pool.connect()
        parents = [idle.dbapi_connection, out.dbapi_connection]
        idle.close()
        disposed = len(sys.argv) > 1
        if disposed:
            pool.dispose()
            pool.recreate()
            del parents[0]  # closed
        pid = os.fork()
        if pid == 0:
            assert (pool.checkedin(), pool.checkedout()) == (0, 0), pool.status()
            c = pool.connect()
            assert c.dbapi_connection not in parents
            c.close()
            out.close()
            pool.dispose()
            del pool, out, idle, c
            import gc
            gc.collect()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        for c in parents:
            c.peer.setblocking(False)
            try:
                print("heard", c.peer.recv(9))
            except BlockingIOError:
                print("silent")
        assert (pool.checkedin(), pool.checkedout()) == (0 if disposed else 1, 1)
        out.close()
        assert (pool.connect().dbapi_connection in parents) is not disposed
        """,
        *["disposed"] * disposed,
    )
    assert said.split() == ["silent"] * (2 - disposed)


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "rows"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The URL of a database with one row."""
    url = f"sqlite:///{tmp_path}/db"
    engine = create_engine(url, poolclass=FastPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add(Row(id=1))
    engine.dispose()
    return url


def test_sessions_are_served_in_the_order_in_which_they_came(file: str) -> None:
    """The longest waiter is served first, so that nobody is passed over; with QueuePool some threads get nothing."""
    engine = create_engine(file, poolclass=FastPool, pool_size=1, max_overflow=0, pool_timeout=PATIENCE)
    pool: Any = engine.pool
    served: list[int] = []

    def work(number: int) -> None:
        with Session(engine) as session:
            assert session.get(Row, 1) is not None
            served.append(number)

    held = engine.connect()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for number, thread in enumerate(threads):
        thread.start()
        until(lambda number=number: pool.stats().waiting == number + 1)
    held.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert served == list(range(16))
    engine.dispose()


def test_64_threads_with_sessions_on_8_connections(file: str) -> None:
    engine = create_engine(file, poolclass=FastPool, pool_size=8, max_overflow=0, pool_timeout=PATIENCE * 2)
    pool: Any = engine.pool
    all_here = threading.Barrier(64)
    done = [0] * 64

    def work(number: int) -> None:
        all_here.wait(PATIENCE)
        for _ in range(10):
            with Session(engine) as session:
                assert session.get(Row, 1) is not None
                assert pool.checkedout() <= 8
            done[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 2)
    assert done == [10] * 64
    assert (pool.checkedout(), pool.stats().connects <= 8) == (0, True)
    engine.dispose()
