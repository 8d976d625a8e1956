"""The behaviour of happybase's pool that ours must have as well: each test runs against both."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import happybase
import happybase.pool
import pytest
from thriftpy2.thrift import TException
from thriftpy2.transport import TTransportException

import fastpool

from ._scripted import ScriptedServer, hang_up, row

# happybase drops transports without closing them, and these tests compare both pools with that behaviour.
LEAKS = "ignore:.*:pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning"
pytestmark = [pytest.mark.filterwarnings(leak) for leak in LEAKS]


@pytest.fixture(params=["happybase", "fastpool"])
def pool_class(request: pytest.FixtureRequest) -> Any:
    return {"happybase": happybase.pool.ConnectionPool, "fastpool": fastpool.ConnectionPool}[request.param]


@pytest.fixture
def make(pool_class: Any, plain_server: ScriptedServer) -> Iterator[Any]:
    """Make a pool of connections to ``plain_server``."""
    made: list[Any] = []

    def make(size: int = 1, **kwargs: Any) -> Any:
        made.append(pool_class(size, **{**plain_server.connect, **kwargs}))
        return made[-1]

    yield make
    for pool in made:
        if hasattr(pool, "close"):
            pool.close()


@pytest.mark.parametrize("size", ["abc", "3", 1.0, None, b"1"])
def test_size_must_be_an_integer(pool_class: Any, size: Any) -> None:
    with pytest.raises(TypeError, match=r"^Pool 'size' arg must be an integer$"):
        pool_class(size=size)


@pytest.mark.parametrize("size", [0, -1])
def test_size_must_be_positive(pool_class: Any, size: int) -> None:
    with pytest.raises(ValueError, match=r"^Pool 'size' arg must be greater than zero$"):
        pool_class(size=size)


def test_size_is_required(pool_class: Any) -> None:
    with pytest.raises(TypeError, match="size"):
        pool_class()


def test_true_is_a_pool_of_one(make: Any) -> None:
    pool = make(True)
    with pool.connection(), within_thread(pool, timeout=0) as error:
        assert isinstance(error, happybase.NoConnectionsAvailable)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"transport": "x"}, ValueError, "'transport' must be one of buffered, framed"),
        ({"protocol": "x"}, ValueError, "'protocol' must be one of binary, compact"),
        ({"compat": "x"}, ValueError, "'compat' must be one of 0.90, 0.92, 0.94, 0.96, 0.98"),
        ({"table_prefix": 1}, TypeError, "'table_prefix' must be a string"),
        ({"table_prefix_separator": 1}, TypeError, "'table_prefix_separator' must be a string"),
        ({"nonsense": 1}, TypeError, "unexpected keyword argument 'nonsense'"),
        ({"timeout": "x"}, TypeError, None),
    ],
)
def test_bad_connection_arguments(
    pool_class: Any, plain_server: ScriptedServer, kwargs: dict[str, Any], error: type[Exception], message: str | None
) -> None:
    with pytest.raises(error, match=message):
        pool_class(1, **{**plain_server.connect, **kwargs})
    assert plain_server.accepted == []


@pytest.mark.parametrize("autoconnect", [True, False])
def test_autoconnect_is_ignored(make: Any, plain_server: ScriptedServer, autoconnect: bool) -> None:
    make(3, autoconnect=autoconnect)
    assert plain_server.connections(1) == 1


def test_arguments_reach_the_connection(make: Any) -> None:
    pool = make(2, timeout=1234, table_prefix="p", table_prefix_separator="-", compat="0.96")
    with pool.connection() as c:
        assert (c.timeout, c.table_prefix, c.table_prefix_separator, c.compat) == (1234, b"p", b"-", "0.96")
        assert c.table("t").name == b"p-t"
        assert c.transport.sock.gettimeout() == 1.234


def test_unreachable_server_raises_from_the_constructor(pool_class: Any, closed_port: Callable[[], int]) -> None:
    port = closed_port()
    with pytest.raises(TTransportException) as caught:
        pool_class(2, host="127.0.0.1", port=port)
    assert caught.value.type == TTransportException.NOT_OPEN
    assert caught.value.message == f"Could not connect to ('127.0.0.1', {port})"


def test_unresolvable_host_raises_from_the_constructor(pool_class: Any) -> None:
    with pytest.raises(TTransportException, match=r"Could not connect to \('host.invalid', 9090\)"):
        pool_class(2, host="host.invalid")


def test_one_connection_is_opened_and_the_others_when_needed(make: Any, plain_server: ScriptedServer) -> None:
    pool = make(3)
    assert plain_server.connections(1) == 1
    with pool.connection() as c:
        c.tables()
        assert plain_server.connections(1) == 1
        with within_thread(pool) as other:
            assert other is not c
    assert plain_server.connections(2) == 2


def test_gives_open_happybase_connections(make: Any) -> None:
    with make().connection() as c:
        assert isinstance(c, happybase.Connection)
        assert c.transport.is_open()
        assert c.table("t").row(b"r") == row(b"r")


def test_nested_blocks_share_the_connection(make: Any) -> None:
    pool, other = make(1), make(1)
    with pool.connection() as outer:
        with pool.connection(timeout=0) as inner, pool.connection() as innermost, other.connection() as others:
            assert inner is outer
            assert innermost is outer
            assert others is not outer
        with within_thread(pool, timeout=0) as error:
            assert isinstance(error, happybase.NoConnectionsAvailable)
        assert outer.tables() == [b"t"]
    with within_thread(pool, timeout=0) as c:
        assert c is outer


def test_a_thread_gets_the_connection_that_was_returned_last(make: Any) -> None:
    pool = make(2)
    with pool.connection() as first, within_thread(pool) as second:
        assert second is not first
    for _ in range(3):
        with pool.connection() as c:
            assert c is first


@pytest.mark.parametrize("timeout", [0, 0.01, 1e-6])
def test_exhausted(make: Any, timeout: float) -> None:
    pool = make(1)
    with pool.connection(), within_thread(pool, timeout=timeout) as error:
        assert isinstance(error, happybase.NoConnectionsAvailable)
        assert isinstance(error, RuntimeError)
        assert not isinstance(error, OSError | TException)
        assert str(error).startswith("No connection available from pool within specified timeout")


def test_bad_timeout_raises_when_the_block_begins(make: Any) -> None:
    pool = make(1)
    for timeout, error in ((-1, ValueError), ("x", TypeError)):
        lease = pool.connection(timeout=timeout)
        with pytest.raises(error):
            lease.__enter__()
        with pool.connection(timeout=0):
            pass
        with pool.connection():
            pass


def test_negative_timeout_says_what_happybase_says(make: Any) -> None:
    pool = make(1)
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"), pool.connection(timeout=-1):
        pass
    with pool.connection():  # and the next block is not affected
        pass


def test_exceptions_leave_the_block_as_they_are(make: Any) -> None:
    pool = make(1)
    for error in (ValueError(), TException(), OSError(2, "x"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()):
        with pytest.raises(type(error)) as caught, pool.connection():
            raise error
        assert caught.value is error
        with pool.connection(timeout=0) as c:
            assert c.tables() == [b"t"]


def test_works_as_a_decorator(make: Any) -> None:
    pool = make(1)

    @pool.connection()
    def work(a: int, *, b: int) -> int:
        with pool.connection(timeout=0) as c:
            assert c.tables() == [b"t"]
        return a + b

    assert [work(1, b=2), work(2, b=2)] == [3, 4]
    with within_thread(pool, timeout=0) as c:
        assert isinstance(c, happybase.Connection)


def test_outer_block_works_after_the_inner_one_failed(make: Any, plain_server: ScriptedServer) -> None:
    pool = make(1)
    with pool.connection() as outer:
        for _ in range(3):
            with pytest.raises(TException), pool.connection() as inner:
                inner.transport.close()
                raise TException
            assert outer.tables() == [b"t"]


def test_object_stays_the_same_across_reconnects(make: Any) -> None:
    pool = make(1)
    with pytest.raises(TException), pool.connection() as before:
        before.transport.close()
        raise TException
    with pool.connection() as after:
        assert after is before
        assert after.tables() == [b"t"]


def test_logs(make: Any, plain_server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pool = make(7)
    with pytest.raises(TTransportException), pool.connection() as c:
        plain_server.script = hang_up
        c.tables()
    plain_server.script = None
    with pool.connection():
        pass
    opening = f"Opening Thrift transport to {plain_server.host}:{plain_server.port}"
    # Connections that earlier tests left to the garbage collector log their closing, too.
    records = [r for r in caplog.record_tuples if r[0] == "happybase.pool" or str(plain_server.port) in r[2]]
    assert records == [
        ("happybase.pool", logging.DEBUG, "Initializing connection pool with 7 connections"),
        ("happybase.connection", logging.DEBUG, opening),
        ("happybase.pool", logging.INFO, "Replacing tainted pool connection"),
        ("happybase.connection", logging.DEBUG, opening),
    ]


def test_logs_that_what_the_block_closed_is_replaced(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="happybase.pool")
    pool = make(1)
    with pytest.raises(TException), pool.connection() as c:
        c.transport.close()
        raise TException
    assert caplog.messages == ["Replacing tainted pool connection"]


def test_many_threads_all_finish(make: Any) -> None:
    pool = make(3)
    done: list[int] = []

    def work(number: int) -> None:
        for i in range(30):
            key = b"%d-%d" % (number, i)
            with pool.connection() as outer, pool.connection() as inner:
                assert inner is outer
                assert outer.table("t").row(key) == row(key)
        done.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(done) == list(range(10))


class within_thread:
    """A block entered while another thread holds a connection of ``pool``, or after that thread failed; tells which."""

    def __init__(self, pool: Any, **kwargs: Any) -> None:
        self._pool = pool
        self._kwargs = kwargs
        self._ready, self._go = threading.Event(), threading.Event()
        self._outcome: Any = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with self._pool.connection(**self._kwargs) as c:
                self._outcome = c
                self._ready.set()
                assert self._go.wait(30)
        except Exception as error:
            self._outcome = error
        finally:
            self._ready.set()

    def __enter__(self) -> Any:
        self._thread.start()
        assert self._ready.wait(30)
        return self._outcome

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
