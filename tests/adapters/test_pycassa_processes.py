"""Sockets and transports under pycassa's connections, and pools that are pickled or forked."""

from __future__ import annotations

import os
import pickle
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme
from thriftpy2.transport import TFramedTransport, TSocket

from fastpool.adapters.pycassa import (
    AllServersUnavailable,
    ConnectionPool,
    default_socket_factory,
    default_transport_factory,
    make_ssl_socket_factory,
)
from fastpool.adapters.pycassa.transport import FramedTransport

from ._cassandra import KEYSPACE, FakeCassandra, Story, insert
from ._fronts import Relay


def framed(sock: Any, host: str, port: int) -> Any:
    return TFramedTransport(sock)


def plain(sock: Any, host: str, port: int) -> Any:
    return Plain(sock)


def seven_seconds(host: str, port: int) -> Any:
    return TSocket(host, port, socket_timeout=7000)


class Plain:
    """Thrift's framed transport without compiled parts, as an application may write one."""

    def __init__(self, sock: Any) -> None:
        self.inner = FramedTransport(sock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.mark.parametrize("transport", [framed, plain, default_transport_factory])
@pytest.mark.parametrize("socket", [seven_seconds, default_socket_factory])
def test_factories(cassandra: FakeCassandra, socket: Any, transport: Any) -> None:
    given: list[Any] = []

    def transport_factory(sock: Any, host: str, port: int) -> Any:
        given.append((type(sock), host, port))
        return transport(sock, host, port)

    pool = ConnectionPool(
        KEYSPACE, [cassandra.address], pool_size=2, timeout=None, socket_factory=socket, check_after=0,
        transport_factory=transport_factory,
    )  # fmt: skip
    assert [(host, port) for _, host, port in given] == [(cassandra.host, cassandra.port)] * 2
    insert(pool)
    with pool.connection() as c:
        ours = socket is default_socket_factory
        assert c.wire.sock.gettimeout() == (None if ours else 7.0), "the socket's own, where the pool has none"
    cassandra.hang_up()
    insert(pool)
    pool.put(pool.get())
    assert pool.checkedin() == len(pool)
    connection = pool.get()
    connection.transport.close()
    pool.put(connection)
    insert(pool)
    pool.close()


def test_a_connect_has_the_pools_timeout(cassandra: FakeCassandra) -> None:
    go_on = threading.Event()
    cassandra.on_connect = lambda: go_on.wait(20) and None
    story = Story()
    with pytest.raises(AllServersUnavailable):
        ConnectionPool(KEYSPACE, [cassandra.address], timeout=0.1, listeners=[story])
    assert story.count("connection_failed") == 2
    go_on.set()


def test_ipv6() -> None:
    try:
        server = FakeCassandra(cassandra_host="::1")
    except OSError:
        pytest.skip("there is no IPv6 here")
    with server, ConnectionPool(KEYSPACE, [f"[::1]:{server.port}"], pool_size=1, timeout=10) as pool:
        insert(pool)


def test_tls(cassandra: FakeCassandra, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    with Relay(cassandra, context=context) as front:
        servers = [f"127.0.0.1:{front.port}"]
        secure = make_ssl_socket_factory(str(trusted))
        with ConnectionPool(KEYSPACE, servers, pool_size=2, timeout=10, socket_factory=secure, check_after=0) as pool:
            for _ in range(4):
                insert(pool)
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        with pytest.raises(AllServersUnavailable):
            ConnectionPool(KEYSPACE, servers, timeout=10, socket_factory=make_ssl_socket_factory(str(other)))
        blind = make_ssl_socket_factory(str(other), validate=False)
        with ConnectionPool(KEYSPACE, servers, pool_size=1, timeout=10, socket_factory=blind) as pool:
            insert(pool)


# ---- a process


def test_a_pool_travels_as_its_configuration(cassandra: FakeCassandra) -> None:
    pool = ConnectionPool(KEYSPACE, [cassandra.address], pool_size=1, timeout=10, max_retries=2, logging_name="moves")
    data = pickle.dumps(pool)
    assert pickle.loads(data) is pool
    insert(pool)
    pool.close()
    again = pickle.loads(data)
    assert again is not pool and again.max_retries == 2 and len(again) == 1 and again.logging_name == "moves"
    insert(again)
    again.close()
    unnamed = ConnectionPool(KEYSPACE, listeners=[{"pool_at_max": lambda dic: None}], prefill=False)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(unnamed)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_the_child_has_connections_of_its_own(cassandra: FakeCassandra) -> None:
    program = """
import os, sys
from fastpool.adapters.pycassa import ConnectionPool, ttypes as t
pool = ConnectionPool("Keyspace1", [sys.argv[1]], pool_size=1, timeout=10)
def insert(key):
    pool.execute("insert", key, t.ColumnParent("Standard1"), t.Column(b"c", b"v", 1), t.ConsistencyLevel.ONE)
held = pool.get()
if os.fork() == 0:
    insert(b"child")
    os._exit(0)
assert os.wait()[1] == 0
held.insert(b"parent", t.ColumnParent("Standard1"), t.Column(b"c", b"v", 1), t.ConsistencyLevel.ONE)
pool.put(held)
assert len(pool) == 1 and pool.stats().connects == 1
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, cassandra.address], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    assert set(cassandra.rows) == {b"child", b"parent"}


def test_it_needs_neither_happybase_nor_is_it_imported_by_fastpool() -> None:
    program = """
import sys, fastpool
before = set(sys.modules)
import fastpool.adapters.pycassa
print("thriftpy2" in before, "happybase" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.split() == ["False", "False"]
