"""The intended differences from happybase's pool: the table in README.md, a to g."""

from __future__ import annotations

import ctypes
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from Hbase_thrift import AlreadyExists, Hbase, IllegalArgument
from Hbase_thrift import IOError as HBaseIOError
from thriftpy2.thrift import TApplicationException, TException
from thriftpy2.transport import TTransportException

import fastpool

from ._scripted import Call, ScriptedServer, hang_up, row
from ._settle import wait_until_readable


@pytest.fixture
def pool(plain_server: ScriptedServer) -> Iterator[fastpool.ConnectionPool]:
    with fastpool.ConnectionPool(1, timeout=5000, **plain_server.connect) as pool:
        yield pool


def socket_of(pool: fastpool.ConnectionPool) -> Any:
    """The socket that the next block will use."""
    with pool.connection() as c:
        return c.transport.sock


def silent(call: Call) -> None:
    """A script: send no reply."""


# a. Only a connection that is really broken or out of step is replaced.


@pytest.mark.parametrize(
    ("field", "error"), [("io", HBaseIOError(b"")), ("ia", IllegalArgument(b"")), ("exist", AlreadyExists(b""))]
)
def test_a_hbases_own_errors_cost_nothing(
    pool: fastpool.ConnectionPool, plain_server: ScriptedServer, field: str, error: TException
) -> None:
    before = socket_of(pool)
    plain_server.script = lambda call: call.stream.send(
        call.stream.encode(call.name, call.seqid, Hbase.createTable_result(**{field: error}))
    )
    with pytest.raises(type(error)), pool.connection() as c:
        c.create_table("t", {"cf": {}})
    assert socket_of(pool) is before


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(), TimeoutError(), TException(), TTransportException(), KeyboardInterrupt(), ValueError()],
    ids=repr,
)
def test_a_the_applications_errors_cost_nothing(
    pool: fastpool.ConnectionPool, plain_server: ScriptedServer, error: BaseException
) -> None:
    before = socket_of(pool)
    with pytest.raises(type(error)), pool.connection() as c:
        c.tables()
        raise error
    assert socket_of(pool) is before
    assert plain_server.connections(1) == 1


@pytest.mark.parametrize(
    ("script", "error", "why"),
    [
        (hang_up, TTransportException, "error"),
        (lambda call: call.stream.send(call.stream.good(call, seqid=call.seqid + 1)), TApplicationException, "desync"),
        (lambda call: call.stream.send(call.stream.good(call, name="getRow")), TApplicationException, "desync"),
        (lambda call: call.stream.send(call.stream.refusal(call)), TApplicationException, "error"),
        (lambda call: call.stream.send(b"SSH-2.0-nothing-for-you"), Exception, "error"),
    ],
    ids=["hang up", "wrong id", "wrong name", "refusal", "garbage"],
)
def test_a_what_is_broken_is_replaced(
    pool: fastpool.ConnectionPool,
    plain_server: ScriptedServer,
    script: Callable[[Call], None],
    error: type[Exception],
    why: str,
) -> None:
    before = socket_of(pool)
    plain_server.script = script
    with pytest.raises(error), pool.connection() as c:
        c.tables()
    plain_server.script = None
    assert socket_of(pool) is not before
    assert pool.stats().closed[why] == 1


# b. An interrupted RPC always costs the connection.


class Stop(BaseException):
    pass


@pytest.fixture
def on_signal() -> Iterator[Callable[[type[BaseException]], None]]:
    """Have SIGUSR1 raise an exception in the main thread, once."""
    before = signal.getsignal(signal.SIGUSR1)

    def arrange(kind: type[BaseException]) -> None:
        left = [kind]

        def handler(*_: object) -> None:
            while left:
                raise left.pop()

        signal.signal(signal.SIGUSR1, handler)

    yield arrange
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("swallow", [False, True], ids=["raised", "swallowed"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, Stop, ValueError, SystemExit, fastpool.LeaseError])
def test_b_interrupted_by_a_signal(
    pool: fastpool.ConnectionPool,
    plain_server: ScriptedServer,
    on_signal: Callable[[type[BaseException]], None],
    kind: type[BaseException],
    swallow: bool,
) -> None:
    late = threading.Event()
    on_signal(kind)

    def interrupted(call: Call) -> None:
        # Repeatedly, because a signal that comes just before a system call does not interrupt it.
        while not late.wait(0.01):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        call.stream.send(call.stream.good(call))

    plain_server.script = interrupted
    if swallow:
        with pool.connection() as c:
            with pytest.raises(kind):
                c.table("t").row(b"mine")
    else:
        with pytest.raises(kind), pool.connection() as c:
            c.table("t").row(b"mine")
    plain_server.script = None
    late.set()
    with pool.connection() as c:
        assert c.table("t").row(b"other") == row(b"other")
    assert plain_server.connections(2) == 2


def test_b_interrupted_by_the_socket_timeout(plain_server: ScriptedServer) -> None:
    with fastpool.ConnectionPool(1, **plain_server.connect) as pool:
        plain_server.script = silent
        with pool.connection() as c, pytest.raises(TimeoutError):
            c.transport.sock.settimeout(0.05)
            c.tables()
        plain_server.script = None
        with pool.connection() as c:
            assert c.table("t").row(b"other") == row(b"other")


def test_b_interrupted_by_another_thread(pool: fastpool.ConnectionPool, plain_server: ScriptedServer) -> None:
    def slow(call: Call) -> None:
        set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
        assert set_exception(ctypes.c_ulong(worker.ident or 0), ctypes.py_object(Stop)) == 1
        call.stream.send(call.stream.good(call))

    def work() -> None:
        with pool.connection() as c:
            try:
                c.table("t").row(b"mine")
                time.sleep(5)  # the exception arrives between two bytecodes, at the latest here
            except Stop:
                stopped.append(True)

    stopped: list[bool] = []
    plain_server.script = slow
    worker = threading.Thread(target=work)
    worker.start()
    worker.join(10)
    assert stopped == [True]
    plain_server.script = None
    for i in range(3):
        with pool.connection() as c:
            assert c.table("t").row(b"%d" % i) == row(b"%d" % i)


# c. A dead connection found at checkout is replaced, and the block runs.


def test_c_dead_when_checked_out(plain_server: ScriptedServer) -> None:
    with fastpool.ConnectionPool(2, check_after=0, **plain_server.connect) as pool:
        for _ in range(3):
            count = plain_server.connections(1)
            idle = socket_of(pool)
            plain_server.accepted[-1].sock.shutdown(socket.SHUT_RDWR)
            wait_until_readable(idle)
            with pool.connection() as c:
                assert c.tables() == [b"t"]
            assert plain_server.connections(count + 1) == count + 1
        assert pool.stats().closed["dead"] == 3


def test_c_unasked_reply_while_idle(plain_server: ScriptedServer) -> None:
    with fastpool.ConnectionPool(2, check_after=0, **plain_server.connect) as pool:
        idle = socket_of(pool)
        assert plain_server.connections(1) == 1
        plain_server.accepted[0].send(b"you never asked")
        wait_until_readable(idle)
        with pool.connection() as c:
            assert c.table("t").row(b"other") == row(b"other")
        assert pool.stats().closed["desync"] == 1


def test_a_reply_too_many_is_counted_as_such(pool: fastpool.ConnectionPool, plain_server: ScriptedServer) -> None:
    plain_server.script = lambda call: call.stream.send(2 * call.stream.good(call))
    with pool.connection() as c:
        assert c.table("t").row(b"a") == row(b"a")
    assert pool.stats().closed["desync"] == 1


# d. The caller's exception is never replaced by a failed reconnect.


def test_d_the_first_error_is_what_the_caller_sees(pool: fastpool.ConnectionPool, plain_server: ScriptedServer) -> None:
    plain_server.script = hang_up
    with pytest.raises(TTransportException, match="TSocket read 0 bytes") as caught, pool.connection() as c:
        try:
            c.tables()
        finally:
            plain_server.close()
    assert caught.value.__context__ is None
    for _ in range(2):
        with pytest.raises(TTransportException, match="Could not connect to"), pool.connection():
            raise AssertionError("not reached")


# e. One replacement per failure, not one per nesting level.


def test_e_one_replacement(pool: fastpool.ConnectionPool, plain_server: ScriptedServer) -> None:
    plain_server.script = hang_up
    with pytest.raises(TTransportException), pool.connection(), pool.connection(), pool.connection() as c:
        c.tables()
    plain_server.script = None
    with pool.connection() as c:
        assert c.tables() == [b"t"]
    assert plain_server.connections(2) == 2


def test_e_outer_block_after_the_inner_one(pool: fastpool.ConnectionPool, plain_server: ScriptedServer) -> None:
    with pool.connection() as c:
        plain_server.script = hang_up
        with pytest.raises(TTransportException), pool.connection(), pool.connection():
            c.tables()
        plain_server.script = None
        assert c.table("t").row(b"other") == row(b"other")
    assert plain_server.connections(2) == 2
    with pool.connection() as c:
        assert c.tables() == [b"t"]
    assert plain_server.connections(2) == 2


# f. Use after return raises LeaseError.


def test_f_use_after_return(pool: fastpool.ConnectionPool, plain_server: ScriptedServer) -> None:
    with pool.connection() as c:
        table, batch, scan = c.table("t"), c.table("t").batch(), c.table("t").scan(batch_size=10)
        batch.put(b"r", {b"cf:a": b"v"})
        next(scan)
    assert plain_server.calls[-1] == "scannerClose"
    calls = len(plain_server.calls)
    uses: list[Callable[[], object]] = [
        c.tables,
        lambda: c.table("t"),
        c.close,
        lambda: table.row(b"r"),
        batch.send,
        lambda: next(scan),
        c.client.getTableNames,
    ]

    def refused() -> None:
        for use in uses[:]:
            with pytest.raises(fastpool.LeaseError):
                use()
        uses[5] = c.tables  # a generator that raised is finished

    refused()
    done = threading.Event()
    held = threading.Event()

    def hold() -> None:
        with pool.connection():
            held.set()
            assert done.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(5)
    refused()
    done.set()
    other.join(5)
    assert len(plain_server.calls) == calls
    with pool.connection() as again:
        assert again is c
        with pytest.raises(fastpool.LeaseError):
            table.row(b"r")
        assert c.tables() == [b"t"]


def test_f_exit_from_another_thread(pool: fastpool.ConnectionPool) -> None:
    for _ in range(3):
        lease = pool.connection()
        c = lease.__enter__()
        assert c.tables() == [b"t"]
        thread = threading.Thread(target=lease.__exit__, args=(None, None, None))
        thread.start()
        thread.join(5)
    with pool.connection(timeout=0) as c:
        assert c.tables() == [b"t"]


# g. What happybase's pool lacks.


def test_g_there_is_more(plain_server: ScriptedServer) -> None:
    with fastpool.ConnectionPool(3, name="hbase", **plain_server.connect) as pool:
        assert len(pool) == 1
        with pool.connection():
            assert repr(pool) == "<fastpool.ConnectionPool 'hbase' 1 leased, 0 idle, 0 waiting, max 3>"
            assert pool.stats().leased == 1
        assert pool.warm() == 3
        pool.clear()
        assert len(pool) == 0
    assert pool.closed
    with pytest.raises(fastpool.PoolClosed), pool.connection():
        pass


@pytest.mark.parametrize("name", ["_queue", "_acquire_connection", "_return_connection"])
def test_g_happybases_private_parts_do_not_exist(pool: fastpool.ConnectionPool, name: str) -> None:
    assert not hasattr(pool, name)
