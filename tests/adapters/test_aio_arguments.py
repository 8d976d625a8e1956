"""aiohappybase's arguments that go to thriftpy2, one by one: they have the same effect in its pool and in ours."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("happybase")
import thriftpy2
from thriftpy2.contrib.aio.protocol import TAsyncCompactProtocolFactory
from thriftpy2.contrib.aio.transport import TAsyncFramedTransportFactory
from thriftpy2.transport import TTransportException

import fastpool

from ._aio import WITHIN_S, aio, aiohappybase, ask, pool_to, run
from ._fronts import HttpFront, Relay
from ._scripted import Call, ScriptedServer, row

# aiohappybase leaves connections open that were never used.
LEAKS = "ignore:.*:pytest.PytestUnraisableExceptionWarning", "ignore:(unclosed|loop is closed):ResourceWarning"
pytestmark = [pytest.mark.filterwarnings(leak) for leak in LEAKS]


def asked(kind: Any, **arguments: Any) -> Any:
    """The row that a pool of one reads, or the exception that reading raises."""

    async def main() -> None:
        async with kind(1, **arguments) as pool:
            try:
                found.append(await ask(pool))
            except Exception as error:
                found.append(error)

    found: list[Any] = []
    run(main())
    return found[0]


def refused(outcome: Any, where: object) -> bool:
    return isinstance(outcome, TTransportException) and outcome.message == f"Could not connect to {where}"


# TLS


class Tls:
    """A server behind TLS, its certificate authority, and a client's certificate, in files."""

    def __init__(self, server: ScriptedServer, folder: Path, stack: contextlib.ExitStack, **options: Any) -> None:
        self.authority = pytest.importorskip("trustme").CA()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(self.context)
        self.authority.configure_trust(self.context)
        for name, value in options.items():
            setattr(self.context, name, value)
        self.relay = stack.enter_context(Relay(server, context=self.context))
        self.where = (self.relay.host, self.relay.port)
        self.arguments = {"host": self.relay.host, "port": self.relay.port}
        self.cafile, self.certfile, self.keyfile = (str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem"))
        self.authority.cert_pem.write_to_path(self.cafile)
        mine = self.authority.issue_cert("client@example.org")
        mine.cert_chain_pems[0].write_to_path(self.certfile)
        mine.private_key_pem.write_to_path(self.keyfile)

    def trusting(self, **options: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        for name, value in options.items():
            setattr(context, name, value)
        return context


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def tls(plain_server: ScriptedServer, tmp_path: Path, stack: contextlib.ExitStack) -> Tls:
    return Tls(plain_server, tmp_path, stack)


def test_a_certificate_of_an_authority_that_is_trusted(kind: Any, tls: Tls) -> None:
    assert asked(kind, **tls.arguments, ssl_context=tls.trusting()) == row(b"k")


def test_the_systems_authorities(kind: Any, tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(asked(kind, **tls.arguments, ssl_context=True), tls.where)
    monkeypatch.setenv("SSL_CERT_FILE", tls.cafile)
    assert asked(kind, **tls.arguments, ssl_context=True) == row(b"k")


def test_one_of_an_authority_that_is_not(kind: Any, tls: Tls) -> None:
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert refused(asked(kind, **tls.arguments, ssl_context=stranger), tls.where)


def test_one_for_another_host(kind: Any, tls: Tls) -> None:
    arguments = {**tls.arguments, "host": "localhost"}
    assert refused(asked(kind, **arguments, ssl_context=tls.trusting()), ("localhost", tls.relay.port))


def test_older_tls(kind: Any, tls: Tls) -> None:
    old = tls.trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
    assert asked(kind, **tls.arguments, ssl_context=old) == row(b"k")


def test_a_certificate_of_the_clients(
    kind: Any, plain_server: ScriptedServer, tmp_path: Path, stack: contextlib.ExitStack
) -> None:
    tls = Tls(plain_server, tmp_path, stack, verify_mode=ssl.CERT_REQUIRED)
    files = {"cafile": tls.cafile, "certfile": tls.certfile, "keyfile": tls.keyfile}
    assert asked(kind, **tls.arguments, **files) == row(b"k")
    # With TLS 1.3 the client's handshake is complete before the server has checked the certificate.
    assert isinstance(asked(kind, **tls.arguments, ssl_context=tls.trusting()), TTransportException | OSError)


def test_validate(kind: Any, tls: Tls) -> None:
    files = {"certfile": tls.certfile, "keyfile": tls.keyfile}
    assert refused(asked(kind, **tls.arguments, **files), tls.where), "without the authority's"
    assert asked(kind, **tls.arguments, **files, validate=False) == row(b"k")


def test_cafile_alone_is_no_tls(kind: Any, tls: Tls, plain_server: ScriptedServer) -> None:
    """As in thriftpy2: TLS without a client certificate needs ssl_context."""
    plain = {"host": plain_server.host, "port": plain_server.port}
    assert asked(kind, **plain, cafile=tls.cafile) == row(b"k")


def test_a_handshake_that_is_not_answered(kind: Any, tls: Tls) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = silent.getsockname()
        outcome = asked(kind, host=where[0], port=where[1], timeout=50, ssl_context=tls.trusting())
    assert refused(outcome, where)


def test_a_server_that_speaks_no_tls(kind: Any, tls: Tls) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            with contextlib.suppress(OSError):  # raised for a client that disconnects in the handshake
                peer, _ = listener.accept()
                with peer:
                    peer.sendall(b"220 somebody else entirely\r\n")
                    while peer.recv(1000):
                        pass

        # aiohappybase tries twice; the second attempt gets no answer.
        threading.Thread(target=greet, daemon=True).start()
        where = listener.getsockname()
        outcome = asked(kind, host=where[0], port=where[1], timeout=50, ssl_context=tls.trusting())
    assert refused(outcome, where)


def test_a_handshake_is_part_of_the_checkouts_time(tls: Tls) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        context = tls.trusting()
        outcome = asked(aio.ConnectionPool, host=host, port=port, checkout_timeout=0.05, ssl_context=context)
    assert isinstance(outcome, aio.NoConnectionsAvailable) and outcome.phase == "connect"


def test_tls_to_each_of_several_servers(tls: Tls, plain_server: ScriptedServer) -> None:
    async def main() -> None:
        servers = [tls.where, tls.where]
        async with aio.ConnectionPool(2, servers=servers, ssl_context=tls.trusting()) as pool:
            assert await pool.warm() == 2
            assert await ask(pool) == row(b"k")

    run(main())


# Where to


def test_a_unix_socket_that_is_not_there(kind: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "nothing.sock")
    assert refused(asked(kind, unix_socket=path), path)


def test_a_certificate_for_a_unix_socket_is_warned_of(
    kind: Any, plain_server: ScriptedServer, tmp_path: Path, stack: contextlib.ExitStack
) -> None:
    path = str(tmp_path / "hbase.sock")
    stack.enter_context(Relay(plain_server, path=path))
    with pytest.warns(UserWarning, match="SSL only works with host:port"):
        assert asked(kind, unix_socket=path, certfile="not looked at") == row(b"k")


def test_messages_name_the_unix_socket(
    plain_server: ScriptedServer, tmp_path: Path, stack: contextlib.ExitStack
) -> None:
    path = str(tmp_path / "hbase.sock")
    stack.enter_context(Relay(plain_server, path=path))
    plain_server.script = lambda call: call.stream.send(call.stream.good(call, seqid=call.seqid - 1))

    async def main() -> None:
        async with aio.ConnectionPool(1, unix_socket=path) as pool, pool.connection() as c:
            for _ in range(2):
                with pytest.raises(Exception, match=path):
                    await c.tables()

    run(main())


def test_url(kind: Any, plain_server: ScriptedServer) -> None:
    url = f"thrift://{plain_server.host}:{plain_server.port}"
    assert asked(kind, host="host.invalid", url=url) == row(b"k")


def test_url_of_http(kind: Any) -> None:
    pytest.importorskip("thriftpy2_httpx_client")
    server = ScriptedServer("framed")
    with HttpFront(server) as front, warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        url = f"http://{front.host}:{front.port}/hbase/"
        assert asked(kind, client="http", url=url, headers={"X-Told": "httpx"}) == row(b"k")
    assert set(front.paths) == {"/hbase/"}
    server.close()


@pytest.mark.parametrize("where", [{"unix_socket": "/a/socket"}, {"url": "http://elsewhere/"}])
def test_two_answers_to_where_are_one_too_many(where: dict[str, str]) -> None:
    ((name, value),) = where.items()
    with pytest.raises(ValueError, match=f"{name}='{value}' cannot be given with servers"):
        aio.ConnectionPool(1, servers=["127.0.0.1:9090"], **where)


def test_socket_family(kind: Any) -> None:
    try:
        probe = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    where = probe.getsockname()[:2]
    probe.close()
    outcome = asked(kind, host="::1", port=where[1], socket_family=socket.AF_INET6)
    assert refused(outcome, ("::1", where[1])), "it got as far as to ask there"


def test_ipv6_needs_no_socket_family() -> None:
    """thriftpy2 uses IPv4 only, unless it is given a socket_family."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with listener:
        port = listener.getsockname()[1]

        async def main() -> None:
            async with aio.ConnectionPool(1, host="::1", port=port) as pool, pool.connection() as c:
                assert c.client.is_open()

        run(main())


# How long


class Full:
    """An address where a connect hangs: once the backlog is full the kernel drops new connections."""

    def __enter__(self) -> tuple[str, int]:
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.crowd = [socket.socket() for _ in range(4)]
        for sock in self.crowd:
            sock.setblocking(False)
            sock.connect_ex(self.listener.getsockname())
        where: tuple[str, int] = self.listener.getsockname()
        return where

    def __exit__(self, *_: object) -> None:
        for sock in (self.listener, *self.crowd):
            sock.close()


@pytest.mark.parametrize("limits", [{"timeout": 50}, {"connect_timeout": 50}, {"timeout": 9999, "connect_timeout": 50}])
def test_a_connect_that_hangs(kind: Any, limits: dict[str, int]) -> None:
    with Full() as where:
        assert refused(asked(kind, host=where[0], port=where[1], **limits), where)


@pytest.mark.parametrize("name", ["timeout", "socket_timeout"])
@pytest.mark.filterwarnings("ignore:The 'socket_timeout' argument is deprecated:DeprecationWarning")
def test_a_reply_that_does_not_come(kind: Any, plain_server: ScriptedServer, name: str) -> None:
    plain_server.script = lambda call: None
    where = {"host": plain_server.host, "port": plain_server.port}
    began = time.monotonic()
    assert isinstance(asked(kind, **where, **{name: 500}), TimeoutError)
    assert time.monotonic() - began > 0.4


@pytest.mark.parametrize("none", [None, 0])
def test_no_limit(kind: Any, plain_server: ScriptedServer, none: int | None) -> None:
    assert asked(kind, host=plain_server.host, port=plain_server.port, timeout=none) == row(b"k")


def test_connect_timeout_bounds_the_connect_and_nothing_else(plain_server: ScriptedServer) -> None:
    """thriftpy2 applies it to each read, too, against its own documentation."""
    given_up = threading.Event()

    def slow(call: Call) -> None:
        given_up.wait(WITHIN_S)
        threading.Event().wait(0.6)  # longer than the connect may take
        call.stream.send(call.stream.good(call))

    plain_server.script = slow
    where = {"host": plain_server.host, "port": plain_server.port, "connect_timeout": 400}
    assert isinstance(asked(aiohappybase.ConnectionPool, **where), TimeoutError)
    given_up.set()
    assert asked(aio.ConnectionPool, **where) == row(b"k")


# Factories and environment


def test_factories_and_a_service_of_ones_own(kind: Any, tmp_path: Path) -> None:
    server = ScriptedServer("framed", "compact")
    own = Path(aiohappybase.__file__).with_name("Hbase.thrift").read_text("utf-8")
    (tmp_path / "Own.thrift").write_text(own.replace("service Hbase {", "service Own {\n  void hello(),"), "utf-8")
    service = thriftpy2.load(str(tmp_path / "Own.thrift"), "Own_thrift").Own

    async def main() -> None:
        factories = {
            "trans_factory": TAsyncFramedTransportFactory(),
            "proto_factory": TAsyncCompactProtocolFactory(decode_response=False),
        }
        async with kind(1, host=server.host, port=server.port, service=service, **factories) as pool:
            async with pool.connection() as c:
                assert await c.table("t").row(b"k") == row(b"k")
                assert callable(c.client.hello)

    run(main())
    server.close()


def test_the_environment_says_what_is_not_given(plain_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defaults are aiohappybase's, which reads the environment at import."""
    import subprocess
    import sys

    code = """if True:
        import asyncio, sys
        import fastpool.aio
        async def main():
            async with fastpool.aio.ConnectionPool(1) as pool, pool.connection() as c:
                assert await c.tables() == [b"t"]
        asyncio.run(main())
        """
    told = {"HOST": plain_server.host, "PORT": str(plain_server.port), "TRANSPORT": "buffered", "PROTOCOL": "binary"}
    environment = {f"AIOHAPPYBASE_{name}": value for name, value in told.items()}
    environment["PYTHONPATH"] = ":".join(part for part in sys.path if part)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_table_prefix_of_a_pools_table(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(plain_server, table_prefix="p") as pool, pool.table("t") as table:
            assert table.name == b"p_t"
            await asyncio.sleep(0)
        with pytest.raises(fastpool.LeaseError):
            await table.families()

    run(main())
