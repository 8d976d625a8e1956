"""Sockets and transports of the user's own, as pools use them; SASL and HTTPS as the examples have them.

The guard's own tests (test_guard.py and others) run over factories, too: see the fixture `server`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import operator
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from thriftpy2.http import THttpClient
from thriftpy2.transport import TBufferedTransport, TFramedTransport, TSocket, TTransportException

import fastpool
from tests.concurrency._told import eventually

from ._fronts import HttpFront, Relay
from ._held import Held
from ._sasl import SaslFront
from ._scripted import Call, ScriptedServer, hang_up, row
from ._settle import child_and_parent_ask
from ._tls import HOST, Authority
from ._ways import WAYS

WITHIN_S = 20
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Option = dict[str, Any]


def example(name: str) -> Any:
    path = EXAMPLES / f"{name}.py"
    if not path.is_file():
        pytest.skip("the tests run without the checkout around them")
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pool_to(server: Any, size: int = 1, **options: Any) -> fastpool.ConnectionPool:
    where = {"host": server.host, "port": server.port}
    return fastpool.ConnectionPool(size, **{"timeout": 10_000, "check_after": 0, **where, **options})


def ask(pool: fastpool.ConnectionPool, key: bytes = b"k") -> None:
    with pool.connection(timeout=WITHIN_S) as c:
        assert c.table("t").row(key) == row(key)


def closed(pool: fastpool.ConnectionPool) -> dict[str, int]:
    return {reason: count for reason, count in pool.stats().closed.items() if count}


# ---- what factories are given, and what they must give


def test_they_are_called_once_for_each_connect(plain_server: ScriptedServer) -> None:
    made: list[Any] = []

    def make_socket(host: str, port: int) -> Any:
        made.append((host, port, TSocket(host, port)))
        return made[-1][2]

    def make_transport(sock: Any, host: str, port: int) -> Any:
        made.append((sock, host, port, TBufferedTransport(sock)))
        return made[-1][3]

    with pool_to(plain_server, 2, socket_factory=make_socket, transport_factory=make_transport) as pool:
        assert pool.warm() == 2
        ask(pool)
        assert [len(one) for one in made] == [3, 4] * 2
        for socket, transport in zip(made[::2], made[1::2], strict=True):
            assert socket[:2] == transport[1:3] == (plain_server.host, plain_server.port)
            assert socket[2] is transport[0]
        with pool.connection() as c:
            assert c.transport in (made[1][3], made[3][3])


def test_with_servers_they_are_given_the_one_to_connect_to(plain_server: ScriptedServer) -> None:
    asked: list[tuple[str, int]] = []

    def make_socket(host: str, port: int) -> Any:
        asked.append((host, port))
        return TSocket(host, port)

    server = (plain_server.host, plain_server.port)
    with fastpool.ConnectionPool(1, servers=[server], socket_factory=make_socket) as pool:
        ask(pool)
    assert asked == [server]


def test_without_a_transport_factory_the_transport_is_the_named_one() -> None:
    server = ScriptedServer("framed")
    try:
        with pool_to(server, transport="framed", socket_factory=TSocket) as pool, pool.connection() as c:
            assert isinstance(c.transport, TFramedTransport)
            assert c.table("t").row(b"k") == row(b"k")
    finally:
        server.close()


@pytest.mark.parametrize("timeout", [None, 1500])
def test_the_timeout_is_the_pools_else_the_sockets_own(plain_server: ScriptedServer, timeout: int | None) -> None:
    def make_socket(host: str, port: int) -> Any:
        return TSocket(host, port, socket_timeout=7000)

    with pool_to(plain_server, timeout=timeout, socket_factory=make_socket) as pool, pool.connection() as c:
        assert c.transport.sock.gettimeout() == (7.0 if timeout is None else 1.5)


def test_the_time_of_the_checkout_bounds_the_connect_and_nothing_after_it(plain_server: ScriptedServer) -> None:
    made: list[Any] = []

    def make_socket(host: str, port: int) -> Any:
        made.append(TSocket(host, port, socket_timeout=None))
        return made[-1]

    options: Option = {"timeout": None, "socket_factory": make_socket, "open": False}
    with contextlib.closing(pool_to(plain_server, **options)) as pool, pool.connection(timeout=5) as c:
        assert 0 < made[0].connect_timeout <= 5
        assert c.transport.sock.gettimeout() is None


@pytest.mark.parametrize("name", ["socket_factory", "transport_factory"])
def test_what_is_no_factory(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} must be callable or None, not 3"):
        fastpool.ConnectionPool(1, **{name: 3})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "methods"),
    [("socket_factory", "open, close, read, write"), ("transport_factory", "open, close, read, write, flush")],
)
def test_what_makes_something_else(plain_server: ScriptedServer, name: str, methods: str) -> None:
    with pytest.raises(TypeError, match=rf"{name} must return an object with {methods}; \[\] has no open"):
        pool_to(plain_server, **{name: lambda *where: []})


def test_tls_and_a_socket_of_ones_own_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="cannot be given with socket_factory"):
        fastpool.ConnectionPool(1, ssl_context=Authority().trusting(), socket_factory=TSocket)


def test_what_a_factory_raises_is_what_the_caller_sees(plain_server: ScriptedServer) -> None:
    def make_socket(host: str, port: int) -> Any:
        raise LookupError("no ticket")

    pool = pool_to(plain_server, socket_factory=make_socket, open=False, backoff=(0, 0))
    for _ in range(2):
        with pytest.raises(LookupError, match="no ticket"), pool.connection():
            pass
    assert len(pool) == 0 and pool.stats().leased == 0
    pool.close()


def test_a_server_that_refuses(closed_port: Any) -> None:
    with pytest.raises(TTransportException, match="Could not connect to") as raised:
        fastpool.ConnectionPool(1, host=HOST, port=closed_port(), socket_factory=TSocket)
    assert raised.value.type == TTransportException.NOT_OPEN


def test_a_socket_that_is_open_already_is_not_opened_again(plain_server: ScriptedServer) -> None:
    def make_socket(host: str, port: int) -> Any:
        made = TSocket(host, port)
        made.open()
        return made

    with pool_to(plain_server, socket_factory=make_socket) as pool:
        ask(pool)
        assert plain_server.connections(1) == 1


# ---- SASL, HTTPS


@pytest.fixture
def framed() -> Iterator[ScriptedServer]:
    server = ScriptedServer("framed")
    yield server
    server.close()


@pytest.fixture(params=["sasl", "sasl over tls", "https", "http by thriftpy2"])
def way(request: pytest.FixtureRequest, framed: ScriptedServer) -> Iterator[tuple[str, Option]]:
    """Another way to a server, and the options that it takes."""
    authority = Authority()
    tls = {"ssl_context": authority.trusting()}
    clients: list[Any] = []
    with contextlib.ExitStack() as stack:
        front: Any
        if "sasl" in request.param:
            front = stack.enter_context(SaslFront(framed, {"ann": "secret"}))
            pool = example("hbase_sasl").open_pool
            options = {"make": lambda size, **others: pool(size, "ann", "secret", **others)}
        else:
            front = stack.enter_context(HttpFront(framed))
            made = example("hbase_https").Http
            if request.param == "http by thriftpy2":
                made = lambda sock, host, port: THttpClient(f"http://{host}:{port}/", keep_alive=True)  # noqa: E731
            options = {"make": fastpool.ConnectionPool, "transport_factory": made}
            clients = front.clients
        if request.param in ("sasl over tls", "https"):
            front = stack.enter_context(Relay(front, context=authority.mine))
            options |= tls
        yield request.param, {"host": front.host, "port": front.port, "clients": clients, **options}


def made_by(options: Option, size: int = 1, **others: Any) -> fastpool.ConnectionPool:
    options = {"timeout": 10_000, "check_after": 0, **options, **others}
    del options["clients"]
    pool: fastpool.ConnectionPool = options.pop("make")(size, **options)
    return pool


def test_calls_by_another_way(way: tuple[str, Option]) -> None:
    with made_by(way[1], 2) as pool:
        for number in range(5):
            ask(pool, b"%d" % number)
        with pool.connection() as c:
            assert len(list(c.table("t").scan(limit=3))) == 3
        assert pool.stats().connects == 1 and closed(pool) == {}


def test_an_interrupted_call_costs_the_connection(way: tuple[str, Option], framed: ScriptedServer) -> None:
    late: list[Call] = []
    with made_by(way[1]) as pool:
        ask(pool, b"before")
        framed.script = late.append
        with pytest.raises((OSError, TTransportException)), pool.connection() as c:
            c.client._socket.settimeout(0.3)
            c.table("t").row(b"first")
        framed.script = None
        assert eventually(lambda: bool(late))  # on a busy machine the call may come after its caller has given up
        with contextlib.suppress(OSError):
            late[0].stream.send(late[0].stream.good(late[0]))
        ask(pool, b"other")
        assert pool.stats().connects == 2 and closed(pool) == {"error": 1}


def test_a_server_that_hung_up_is_noticed_before_the_block(way: tuple[str, Option], framed: ScriptedServer) -> None:
    if way[0] == "http by thriftpy2":
        pytest.skip("its socket cannot be seen: the next call notices it, and connects anew")
    with made_by(way[1]) as pool:
        ask(pool, b"before")
        client: Any
        with pool.connection() as c:
            client = c.client
        (way[1]["clients"] or [framed.accepted[0].sock])[0].shutdown(2)
        with pool.connection() as c:
            assert eventually(lambda: c.client is not client or not c.client.in_step(), WITHIN_S), "it is not noticed"
        ask(pool, b"after")
        assert pool.stats().connects == 2 and sum(closed(pool).values()) == 1


def test_a_server_that_hangs_up_within_a_call(way: tuple[str, Option], framed: ScriptedServer) -> None:
    with made_by(way[1]) as pool:
        framed.script = hang_up
        with pytest.raises((OSError, TTransportException, EOFError, Exception)), pool.connection() as c:
            c.table("t").row(b"k")
        framed.script = None
        ask(pool)
        assert pool.stats().connects == 2


def test_close_by_the_user_costs_the_connection(way: tuple[str, Option]) -> None:
    with made_by(way[1]) as pool:
        with pool.connection() as c:
            c.close()
            assert not c.client.is_open()
        ask(pool)
        assert pool.stats().connects == 2 and closed(pool) == {"error": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    "option", [{"socket_factory": TSocket}, {"transport_factory": lambda s, h, p: TBufferedTransport(s)}]
)
def test_a_child_leaves_the_parents_connection_alone(plain_server: ScriptedServer, option: Option) -> None:
    with pool_to(plain_server, **option) as pool:
        child_and_parent_ask(pool, ask)
        assert pool.stats().connects == 1 and plain_server.connections(2) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("leave", ["close", "transport.close", "end", "abandon"])
@pytest.mark.parametrize("way", ["socket", "both", "transport"])
def test_a_child_that_closes_what_it_inherited_closes_only_its_copy(way: str, leave: str) -> None:
    server = WAYS[way]("buffered", "binary")
    held = Held(server, timeout=5000)
    try:
        assert held.row(b"before") == row(b"before")
        pid = os.fork()
        if pid == 0:
            try:
                operator.attrgetter(leave)(held.connection)()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        assert held.row(b"after") == row(b"after")
    finally:
        held.end()
        server.close()


def test_sasl_with_a_wrong_password(framed: ScriptedServer) -> None:
    with SaslFront(framed, {"ann": "secret"}) as front:
        with pytest.raises(TTransportException, match="wrong password"):
            example("hbase_sasl").open_pool(1, "ann", "guess", host=front.host, port=front.port)
        pool = example("hbase_sasl").open_pool(1, "ann", "secret", host=front.host, port=front.port)
        assert front.admitted == ["ann"]
        pool.close()


def test_a_negotiation_that_hangs_takes_no_longer_than_the_checkout(framed: ScriptedServer) -> None:
    with SaslFront(framed, {"ann": "secret"}) as front:
        front.silent.set()
        pool = example("hbase_sasl").open_pool(1, "ann", "secret", host=front.host, port=front.port, open=False)
        began = time.monotonic()
        with pytest.raises(fastpool.NoConnectionsAvailable) as raised, pool.connection(timeout=0.2):
            pass
        assert time.monotonic() - began < 10 and raised.value.phase == "connect"
        pool.close()


def test_the_examples_print_the_tables(
    framed: ScriptedServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with SaslFront(framed, {"ann": "secret"}) as front:
        example("hbase_sasl").main(front.host, str(front.port), "ann", "secret")
    authority = Authority()
    authority.ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with HttpFront(framed) as http, Relay(http, context=authority.mine) as front_:
        example("hbase_https").main(HOST, str(front_.port), str(tmp_path / "ca.pem"))
    assert capsys.readouterr().out.splitlines() == ["ann sees the tables [b't']", "the tables are [b't']"]
