"""TLS to a real HBase: its own, which it has for HTTP only, and one that ends in front of a plain gateway."""

from __future__ import annotations

import importlib.util
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from thriftpy2.transport import TTransportException

import fastpool
from fastpool.testing import FaultProxy
from tests.adapters._fronts import Relay
from tests.adapters._tls import Authority
from tools.hbase.cluster import Gateway

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "hbase_https.py"
FAMILIES: dict[str, dict[str, Any]] = {"f": {}}
Options = dict[str, Any]


def http_transport() -> Any:
    spec = importlib.util.spec_from_file_location("example_hbase_https", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Http


@pytest.fixture
def https(gateway_of: Callable[..., Gateway]) -> Gateway:
    """A gateway with `hbase.thrift.ssl.enabled`."""
    return gateway_of(https=True)


@pytest.fixture(params=["hbase's own, by HTTP", "in front of the gateway"])
def way(request: pytest.FixtureRequest, gateway_of: Callable[..., Gateway]) -> Iterator[Options]:
    """A server behind TLS, and the options that a pool needs."""
    if request.param.startswith("hbase"):
        gateway = gateway_of(https=True)
        context = ssl.create_default_context(cafile=str(gateway.cafile))
        yield {"port": gateway.port, "ssl_context": context, "transport_factory": http_transport()}
    else:
        gateway, authority = gateway_of(), Authority()
        behind = SimpleNamespace(host=gateway.host, port=gateway.port, transport="buffered", protocol="binary")
        with Relay(behind, context=authority.mine) as front:
            yield {"port": front.port, "ssl_context": authority.trusting()}


def test_tables_rows_and_scans(way: Options) -> None:
    with fastpool.ConnectionPool(2, host="127.0.0.1", timeout=60_000, **way) as pool:
        with pool.connection(table_prefix="over_tls") as c:
            c.create_table("t", FAMILIES)
            assert c.tables() == [b"t"]
            with c.table("t").batch() as batch:
                for number in range(300):
                    batch.put(b"%03d" % number, {b"f:a": b"x" * 500})
            assert [key for key, _ in c.table("t").scan(batch_size=100)] == [b"%03d" % number for number in range(300)]
            c.delete_table("t", disable=True)
        assert pool.stats().connects == 1


def test_an_interrupted_call_costs_the_connection(way: Options) -> None:
    with FaultProxy(SimpleNamespace(host="127.0.0.1", port=way.pop("port"))) as proxy:
        with fastpool.ConnectionPool(1, host=proxy.host, port=proxy.port, timeout=20_000, **way) as pool:
            with pool.connection() as c:
                c.tables()
                assert c.client._socket.socket_timeout == 20
                c.client._socket.settimeout(0.5)
                held = proxy.hold_replies()
                with pytest.raises((OSError, TTransportException)):
                    c.tables()
                assert not c.client.is_open()
            held.release()
            with pool.connection() as c:
                assert isinstance(c.tables(), list)
            assert pool.stats().connects == 2


def test_a_server_that_hung_up_is_noticed_before_the_block(way: Options) -> None:
    with FaultProxy(SimpleNamespace(host="127.0.0.1", port=way.pop("port"))) as proxy:
        options: Options = {"host": proxy.host, "port": proxy.port, "timeout": 60_000, "check_after": 0, **way}
        with fastpool.ConnectionPool(1, **options) as pool:
            with pool.connection() as c:
                c.tables()
                client: Any = c.client
            assert proxy.drop_connections() == 1
            end = time.monotonic() + 20
            with pool.connection() as c:
                while c.client is client and c.client.in_step():
                    assert time.monotonic() < end, "it is not noticed"
            with pool.connection() as c:
                assert isinstance(c.tables(), list)
            assert pool.stats().connects == 2


def test_a_certificate_that_is_not_trusted(https: Gateway) -> None:
    options: Options = {"ssl_context": ssl.create_default_context(), "transport_factory": http_transport()}
    with pytest.raises(TTransportException, match="certificate verify failed"):
        fastpool.ConnectionPool(1, host=https.host, port=https.port, timeout=60_000, **options)
