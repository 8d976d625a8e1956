"""The drop-in beyond happybase's interface: options, servers, tables, scanners, install, pickles, forks."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import happybase
import happybase.pool
import pytest
from thriftpy2.transport import TTransportException

import fastpool
from fastpool.adapters.happybase import pool as adapter

from ._scripted import Call, ScriptedServer, hang_up, row


@pytest.fixture
def pool(plain_server: ScriptedServer) -> Iterator[fastpool.ConnectionPool]:
    with fastpool.ConnectionPool(2, timeout=5000, **plain_server.connect) as pool:
        yield pool


def test_defaults() -> None:
    pool = fastpool.ConnectionPool(7, open=False)
    config = pool.config
    assert (config.max_size, config.max_connecting, config.timeout, config.nested) == (7, 7, None, True)
    assert len(pool) == 0
    pool.close()


def test_options_are_the_pools_and_the_rest_is_the_connections(plain_server: ScriptedServer) -> None:
    pool = fastpool.ConnectionPool(
        4, timeout=250, checkout_timeout=0.5, nested=False, max_connecting=1, max_uses=9, **plain_server.connect
    )
    config = pool.config
    assert (config.timeout, config.nested, config.max_connecting, config.max_uses) == (0.5, False, 1, 9)
    with pool.connection() as c:
        assert c.timeout == 250
    pool.close()


@pytest.mark.parametrize("option", ["max_size", "connect", "driver", "check"])
def test_what_is_no_option_here(option: str) -> None:
    with pytest.raises(TypeError, match=option):
        fastpool.ConnectionPool(1, **{option: 3})


def test_bad_option() -> None:
    with pytest.raises(ValueError, match="max_uses"):
        fastpool.ConnectionPool(1, max_uses=0)


def test_each_of_several_threads_that_open_it_returns_when_one_is_open(plain_server: ScriptedServer) -> None:
    pool = fastpool.ConnectionPool(3, open=False, **plain_server.connect)
    together, seen = threading.Barrier(4), list[int]()

    def opening() -> None:
        together.wait(20)
        pool.open()
        seen.append(len(pool))

    threads = [threading.Thread(target=opening, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert seen == [1] * 4
    pool.close()


def test_checkout_timeout(plain_server: ScriptedServer) -> None:
    with fastpool.ConnectionPool(1, checkout_timeout=0.01, nested=False, **plain_server.connect) as pool:
        with pool.connection(), pytest.raises(fastpool.NoConnectionsAvailable) as caught, pool.connection():
            pass
        # A thread that would wait for itself is a deadlock; the error is happybase's as well.
        assert isinstance(caught.value, fastpool.PoolDeadlock)
        assert isinstance(caught.value, happybase.NoConnectionsAvailable)


def test_failed_open_may_be_repeated(closed_port: Callable[[], int]) -> None:
    pool = fastpool.ConnectionPool(1, host="127.0.0.1", port=closed_port(), open=False)
    for _ in range(2):
        with pytest.raises(TTransportException):
            pool.open()
    pool.close()


def test_open_false_then_open(plain_server: ScriptedServer) -> None:
    pool = fastpool.ConnectionPool(2, open=False, **plain_server.connect)
    assert len(pool) == 0
    pool.open()
    pool.open()
    assert len(pool) == 1
    pool.close()


def test_table(pool: fastpool.ConnectionPool) -> None:
    with pool.table("t") as table:
        assert isinstance(table, happybase.Table)
        assert table.row(b"r") == row(b"r")
        assert pool.stats().leased == 1
    assert pool.stats().leased == 0
    with pytest.raises(fastpool.LeaseError):
        table.row(b"r")


def test_table_takes_options_of_the_lease(pool: fastpool.ConnectionPool) -> None:
    with pool.table("t", timeout=0):
        pass
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"), pool.table("t", timeout=-1):
        pass
    with pytest.raises(TypeError, match="nonsense"):
        pool.table("t", nonsense=1)


def test_table_that_cannot_be_had_frees_the_connection(pool: fastpool.ConnectionPool) -> None:
    with pytest.raises(TypeError), pool.table(3):  # type: ignore[arg-type]
        pass
    assert pool.stats().leased == 0


def test_table_block_lets_exceptions_through(pool: fastpool.ConnectionPool) -> None:
    error = KeyError("k")
    with pytest.raises(KeyError) as caught, pool.table("t"):
        raise error
    assert caught.value is error
    assert pool.stats().leased == 0


def test_scanners_left_open_are_closed_at_checkin(pool: fastpool.ConnectionPool, plain_server: ScriptedServer) -> None:
    with pool.connection() as c:
        scans = [c.table("t").scan(batch_size=3) for _ in range(2)]
        for scan in scans:
            next(scan)
        sock = c.transport.sock
    assert plain_server.calls[-2:] == ["scannerClose", "scannerClose"]
    with pool.connection() as c:
        assert c.transport.sock is sock


def test_scanners_are_not_closed_on_the_way_of_an_exception(
    pool: fastpool.ConnectionPool, plain_server: ScriptedServer
) -> None:
    with pytest.raises(KeyError), pool.connection() as c:
        scan = c.table("t").scan(batch_size=3)
        next(scan)
        raise KeyError
    assert plain_server.calls == ["scannerOpenWithScan", "scannerGetList"]
    assert pool.stats().closed["error"] == 1


def test_scanner_that_cannot_be_closed_costs_the_connection(
    pool: fastpool.ConnectionPool, plain_server: ScriptedServer
) -> None:
    with pool.connection() as c:
        scan = c.table("t").scan(batch_size=3)
        next(scan)
        plain_server.script = hang_up
    plain_server.script = None
    with pool.connection() as c:
        assert c.table("t").row(b"r") == row(b"r")
    assert pool.stats().closed["error"] == 1


def test_servers(plain_server: ScriptedServer) -> None:
    second = ScriptedServer()
    servers = [(plain_server.host, plain_server.port), f"{second.host}:{second.port}"]
    with fastpool.ConnectionPool(2, host="nowhere.invalid", servers=servers) as pool:
        assert pool.warm() == 2
        assert plain_server.connections(1) == second.connections(1) == 1
        with pool.connection() as c:
            assert c.port in (plain_server.port, second.port)
            assert c.tables() == [b"t"]
    second.close()


def test_all_servers_refuse(closed_port: Callable[[], int]) -> None:
    servers = [("127.0.0.1", closed_port()) for _ in range(2)]
    with pytest.raises(fastpool.AllServersUnavailable) as caught:
        fastpool.ConnectionPool(1, servers=servers)
    assert isinstance(caught.value.__cause__, TTransportException)


def test_single_server_that_refuses_raises_its_own_error_every_time(closed_port: Callable[[], int]) -> None:
    pool = fastpool.ConnectionPool(1, host="127.0.0.1", port=closed_port(), open=False)
    for _ in range(3):
        with pytest.raises(TTransportException, match="Could not connect to"), pool.connection(timeout=5):
            pass
    pool.close()


def test_keepalive_makes_the_server_hear_something(plain_server: ScriptedServer) -> None:
    heard = threading.Event()

    def listen(call: Call) -> None:
        call.stream.send(call.stream.good(call))
        if call.name == "getTableNames":
            heard.set()

    plain_server.script = listen
    with fastpool.ConnectionPool(1, keepalive=0.02, **plain_server.connect) as pool:
        assert heard.wait(5)
        with pool.connection() as c:
            assert c.transport.sock.gettimeout() is None


def test_probe_at_checkout_is_no_call(plain_server: ScriptedServer) -> None:
    with fastpool.ConnectionPool(1, check_after=0, **plain_server.connect) as pool:
        for _ in range(5):
            with pool.connection():
                pass
        assert plain_server.calls == []


def test_install_and_uninstall() -> None:
    theirs = happybase.ConnectionPool
    try:
        for _ in range(2):
            fastpool.install()
            assert happybase.ConnectionPool is fastpool.ConnectionPool
            assert happybase.pool.ConnectionPool is fastpool.ConnectionPool
        for _ in range(2):
            fastpool.uninstall()
            assert happybase.ConnectionPool is theirs
            assert happybase.pool.ConnectionPool is theirs
        fastpool.install()
        happybase.ConnectionPool = object  # another patch on top of ours must stay
        fastpool.uninstall()
        assert happybase.ConnectionPool is object
        assert happybase.pool.ConnectionPool is theirs
    finally:
        happybase.ConnectionPool = happybase.pool.ConnectionPool = theirs


def test_pickles_as_its_configuration(pool: fastpool.ConnectionPool) -> None:
    assert pickle.loads(pickle.dumps(pool)) is pool


def test_error_classes() -> None:
    assert issubclass(adapter.NoConnectionsAvailable, happybase.NoConnectionsAvailable)
    assert issubclass(adapter.NoConnectionsAvailable, fastpool.NoConnectionsAvailable)
    assert issubclass(adapter.PoolDeadlock, adapter.NoConnectionsAvailable)
    assert issubclass(adapter.PoolDeadlock, fastpool.PoolDeadlock)


def test_happybase_is_imported_when_first_touched() -> None:
    script = (
        "import sys, fastpool\n"
        "assert not {'happybase', 'thriftpy2', 'asyncio', 'gevent'} & sys.modules.keys()\n"
        "fastpool.ConnectionPool\n"
        "assert 'happybase' in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_child_connects_anew_and_leaves_the_parent_alone(
    pool: fastpool.ConnectionPool, plain_server: ScriptedServer
) -> None:
    def use(key: bytes) -> Any:
        with pool.connection() as c:
            return c.table("t").row(key)

    with pool.connection() as held:
        assert held.tables() == [b"t"]
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                try:
                    held.tables()
                except fastpool.LeaseError:
                    assert use(b"child") == row(b"child")
                    status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        assert held.table("t").row(b"parent") == row(b"parent")
    assert use(b"later") == row(b"later")
    assert plain_server.connections(2) == 2
