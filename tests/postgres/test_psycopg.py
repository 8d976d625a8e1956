"""psycopg_pool's drop-ins beside a real server: a block is a transaction, and connections taken by hand."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from fastpool import LeaseError

from ._both import IDLE, INERROR, INTRANS, Plain, Threads


def table(way: Any, pool: Any, name: str) -> None:
    with way.block(pool) as conn:
        conn.execute(f"create table {name} (x int)")


def rows(way: Any, pool: Any, name: str) -> Any:
    with way.block(pool) as conn:
        return conn.execute(f"select x from {name}")


# ---- a block is a transaction


def test_block_is_committed_at_its_end(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=1) as pool:
        with way.block(pool) as conn:
            conn.execute(f"create table committed_{type(way).__name__} (x int)")
            assert conn.status == INTRANS
        with way.block(pool) as conn:
            assert conn.status == IDLE
            assert conn.execute(f"select * from committed_{type(way).__name__}") == []


def test_block_is_rolled_back_after_an_exception(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=1) as pool:
        name = f"rolled_back_{type(way).__name__}"
        table(way, pool, name)
        with pytest.raises(KeyError), way.block(pool) as conn:
            pid = conn.pid
            conn.execute(f"insert into {name} values (1)")
            raise KeyError("the application's")
        assert rows(way, pool, name) == []
        with way.block(pool) as conn:
            assert conn.pid == pid, "the connection is as good as before"
        assert pool.get_stats()["returns_bad"] == 0


def test_interrupted_block_is_rolled_back_and_keeps_its_connection(dsn: str) -> None:
    with Threads().opened(Threads.kept, dsn, min_size=1) as pool:
        with pytest.raises(KeyboardInterrupt), pool.connection() as conn:
            pid = conn.info.backend_pid
            conn.execute("select 1")
            raise KeyboardInterrupt
        with pool.connection() as conn:
            assert (conn.info.backend_pid, conn.info.transaction_status) == (pid, IDLE)


def test_failed_commit_is_what_the_caller_sees(way: Any, dsn: str) -> None:
    name = f"deferred_{type(way).__name__}"
    with way.opened(way.kept, dsn, min_size=1) as pool:
        with way.block(pool) as conn:
            conn.execute(f"create table {name} (x int unique deferrable initially deferred)")
        with pytest.raises(psycopg.errors.UniqueViolation), way.block(pool) as conn:
            pid = conn.pid
            conn.execute(f"insert into {name} values (1), (1)")
        with way.block(pool) as conn:
            assert (conn.pid, conn.status) == (pid, IDLE)


def test_own_end_of_a_block_is_called(dsn: str) -> None:
    ends: list[Any] = []

    class Own(psycopg.Connection[Any]):
        def __exit__(self, kind: Any, error: Any, trace: Any) -> None:  # noqa: PYI036
            ends.append(kind)
            super().__exit__(kind, error, trace)

    with Threads().opened(Threads.kept, dsn, min_size=1, connection_class=Own) as pool:
        with pool.connection():
            pass
        with pool.connection() as conn:
            conn.execute("select 1")
        with pytest.raises(KeyError), pool.connection():
            raise KeyError
        assert ends == [None, None, KeyError]
        pool.putconn(pool.getconn())
        assert len(ends) == 3, "a connection that was checked out by hand has no block"


def test_two_phase_transaction_does_not_reach_the_next_caller(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=1) as pool:
        conn = way.run(pool.getconn())
        way.run(conn.tpc_begin(conn.xid(1, type(way).__name__, "branch")))
        way.run(conn.execute("select 1"))
        way.run(conn.tpc_prepare())
        assert conn.info.transaction_status == IDLE
        way.run(pool.putconn(conn))
        with way.block(pool) as after:
            assert after.conn is not conn


# ---- by hand


@pytest.mark.parametrize("broken", [False, True])
def test_open_transaction_is_rolled_back_on_return(way: Any, dsn: str, warned: Any, broken: bool) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_size=1) as pool:
        conn = Plain(way, way.run(pool.getconn()))
        pid = conn.pid
        if broken:
            with pytest.raises(psycopg.ProgrammingError):
                conn.execute("wat")
        else:
            conn.execute("select 1")
        assert conn.status == (INERROR if broken else INTRANS)
        way.run(pool.putconn(conn.conn))
        with way.block(pool) as conn:
            assert (conn.pid, conn.status) == (pid, IDLE)
    assert [record.message.split(":")[0] for record in warned.records] == ["rolling back returned connection"]
    assert ("INERROR" if broken else "INTRANS") in warned.records[0].message


def test_connection_returned_amid_an_operation_is_closed(way: Any, dsn: str, warned: Any) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_size=1) as pool:
        conn = Plain(way, way.run(pool.getconn()))
        pid = conn.pid
        conn.conn.pgconn.exec_(b"copy (select * from generate_series(1, 10)) to stdout")
        way.run(pool.putconn(conn.conn))
        with way.block(pool) as conn:
            assert conn.pid != pid
        assert pool.get_stats()["returns_bad"] == 1
    assert len(warned.records) == 2
    assert "ACTIVE" in warned.records[0].message
    assert "BAD" in warned.records[1].message


def test_failed_rollback_closes(way: Any, dsn: str, warned: Any) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_size=1) as pool:
        conn = way.run(pool.getconn())
        rollback = conn.rollback

        def finish_first() -> Any:
            conn.pgconn.finish()
            return rollback()

        conn.rollback = finish_first
        way.run(conn.execute("select 1"))
        way.run(pool.putconn(conn))
        with way.block(pool) as after:
            assert after.conn is not conn
    assert len(warned.records) == 3
    assert "INTRANS" in warned.records[0].message
    assert "OperationalError" in warned.records[1].message
    assert "BAD" in warned.records[2].message


def test_only_what_is_out_can_be_returned(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=1) as pool, way.opened(way.kept, dsn, min_size=1, name="other") as other:
        stranger = way.run(way.connection_class.connect(dsn))
        with pytest.raises(ValueError, match="doesn't come from any pool"):
            way.run(pool.putconn(stranger))
        way.run(stranger.close())
        conn = way.run(other.getconn())
        with pytest.raises(ValueError, match="it comes from pool 'other'"):
            way.run(pool.putconn(conn))
        way.run(other.putconn(conn))
        with pytest.raises(ValueError, match="already returned") as caught:
            way.run(other.putconn(conn))
        assert isinstance(caught.value, LeaseError)


def test_close_returns(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_size=1, close_returns=True) as pool:
        conn = Plain(way, way.run(pool.getconn()))
        conn.execute("select 1")
        conn.close()
        assert not conn.conn.closed
        with way.block(pool) as again:
            assert again.conn is conn.conn
            assert again.status == IDLE
    assert conn.conn.closed


def test_close_closes_without_close_returns(way: Any, dsn: str, warned: Any) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_size=1) as pool:
        with way.block(pool) as conn:
            conn.close()
        with way.block(pool) as after:
            assert after.conn is not conn.conn
        assert pool.get_stats()["returns_bad"] == 1
    assert warned.records[0].message.startswith("discarding closed connection: ")


def test_connection_knows_its_pool_while_it_is_out(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_size=1) as pool:
        conn = way.run(pool.getconn())
        assert conn._pool is pool
        way.run(pool.putconn(conn))
        assert conn._pool is None
        with way.block(pool) as again:
            assert again.conn is conn
            assert conn._pool is pool
        assert conn._pool is None
    assert conn._pool is None


def test_second_close_of_a_returned_connection_is_no_error(way: Any, dsn: str) -> None:
    given = {"close_returns": True, "check": way.kept.check_connection}
    with way.opened(way.kept, dsn, min_size=1, max_size=1, **given) as pool:
        conn = Plain(way, way.run(pool.getconn()))
        conn.close()
        conn.close()
        with way.block(pool) as after:
            assert after.execute("select 1") == [(1,)]
        after.close()
        with way.block(pool) as after:
            assert after.execute("select 1") == [(1,)]


# ---- a subclass's own methods


@pytest.mark.parametrize("kind", ["kept", "null"])
def test_own_getconn_and_putconn_are_called_for_a_block(way: Any, dsn: str, kind: str) -> None:
    calls: list[str] = []
    base: Any = getattr(way, kind)

    class Getting(base):  # type: ignore[misc]
        def getconn(self, *args: Any, **given: Any) -> Any:
            calls.append("getconn")
            return super().getconn(*args, **given)

    class Putting(Getting):
        def putconn(self, conn: Any) -> Any:
            calls.append("putconn")
            return super().putconn(conn)

    class Below(Putting):
        pass

    name = f"own_{kind}_{type(way).__name__}"
    for own, expected in ((Getting, ["getconn"]), (Putting, ["getconn", "putconn"]), (Below, ["getconn", "putconn"])):
        with way.opened(own, dsn, max_size=1, min_size=0 if kind == "null" else 1) as pool:
            calls.clear()
            with way.block(pool) as conn:
                conn.execute(f"create table {name} (x int)")
            assert calls == expected
            with pytest.raises(KeyError), way.block(pool) as conn:
                conn.execute(f"drop table {name}")
                raise KeyError("the application's")
            assert calls == expected * 2
            assert rows(way, pool, name) == [], "the first block was committed, the second was rolled back"
            with way.block(pool) as conn:
                conn.execute(f"drop table {name}")


def test_own_check_connection_is_called(way: Any, dsn: str) -> None:
    checked: list[int] = []

    def check_connection(conn: Any) -> Any:
        checked.append(conn.info.backend_pid)
        return way.kept.check_connection(conn)

    own = type("Own", (way.kept,), {"check_connection": staticmethod(check_connection)})
    with way.opened(own, dsn, min_size=1, max_size=1) as pool:
        way.run(pool.wait())
        way.run(pool.check())
        with way.block(pool) as conn:
            assert checked == [conn.pid]
