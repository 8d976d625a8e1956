"""fastpool.drivers for HTTP, SMTP and IMAP, with servers in threads of the test."""

from __future__ import annotations

import contextlib
import imaplib
import smtplib
import ssl
import types

import pytest

import fastpool
from fastpool.drivers import HTTP, IMAP, SMTP
from tests.pool.small_servers import Imap, Smtp, commands, http_server, line_server

# ---- HTTP


def get(connection, path):
    connection.request("GET", path)
    return connection.getresponse()


def test_http_needs_no_servers():
    with http_server() as server:
        host, port = server.server_address
        with fastpool.Pool(driver=HTTP(host, port)) as pool, pool.connection() as connection:
            assert get(connection, "/a").read().decode() == f"/a from {server.address}"


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("state", ["unused", "begun", "head", "part", "read", "empty", "last"])
def test_http_only_a_connection_in_step_is_used_again(state, raises):
    with http_server() as server, fastpool.Pool(driver=HTTP(), servers=[server.address], check_after=None) as pool:
        try:
            with pool.connection() as connection:
                if state == "begun":
                    connection.request("GET", "/a")
                elif state != "unused":
                    response = get(connection, f"/{state}")
                    response.read(*([3] if state == "part" else [])) if state not in ("head", "empty") else None
                if raises:
                    raise KeyError(state)
        except KeyError:
            pass
        with pool.connection() as connection:
            assert get(connection, "/b").read().decode() == f"/b from {server.address}"
        assert pool.stats().connects == (1 if state in ("unused", "read", "empty") else 2)


def test_http_the_checkouts_time_limits_the_connect_and_the_drivers_the_rest():
    with http_server() as server, fastpool.Pool(driver=HTTP(timeout=7), servers=[server.address]) as pool:
        with pool.connection(timeout=3) as connection:
            assert connection.sock.gettimeout() == connection.timeout == 7


@pytest.fixture
def tls():
    """A client's context, and a server's that it trusts."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(ours)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    return ours, theirs


def test_https(tls):
    ours, theirs = tls
    with http_server() as server:
        server.socket = theirs.wrap_socket(server.socket, server_side=True)
        with fastpool.Pool(driver=HTTP(*server.server_address, ssl_context=ours), check_after=0) as pool:
            for path in ("/a", "/b"):
                with pool.connection() as connection:
                    assert get(connection, path).read()
            assert pool.stats().connects == 1
        with fastpool.Pool(driver=HTTP(*server.server_address, tls=True)) as pool:
            with pytest.raises(ssl.SSLCertVerificationError):
                pool.checkout()


# ---- mail


def test_smtp_a_session_is_checked_reset_and_ended():
    with line_server(Smtp) as server:
        with fastpool.Pool(driver=SMTP(*server.server_address), check_after=0) as pool:
            for _ in range(2):
                with pool.connection() as session:
                    session.sendmail("me@example.org", ["you@example.org"], "text")
        said = commands(server)
        assert said == ["EHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "MAIL", "RCPT", "DATA", "RSET", "QUIT"]


@pytest.mark.parametrize(("error", "kept"), [(smtplib.SMTPRecipientsRefused, True), (KeyError, False)])
def test_smtp_a_refusal_keeps_the_session(error, kept):
    with line_server(Smtp) as server, fastpool.Pool(driver=SMTP(*server.server_address)) as pool:
        with pytest.raises(error), pool.connection() as session:
            session.sendmail("me@example.org", ["nobody@example.org"], "text") if kept else {}["x"]
        with pool.connection():
            assert pool.stats().connects == (1 if kept else 2)


def test_smtp_the_servers_goodbye_ends_the_session():
    driver = SMTP("host")
    session = types.SimpleNamespace(sock=object())
    assert driver.usable(session, smtplib.SMTPDataError(550, b""))
    assert not driver.usable(session, smtplib.SMTPDataError(421, b""))


def test_smtp_wrong_credentials_are_no_servers_fault():
    driver = SMTP("host")
    assert not driver.blames_server(smtplib.SMTPAuthenticationError(535, b""))
    assert driver.blames_server(smtplib.SMTPConnectError(421, b""))


def test_imap_a_mailbox_is_closed_and_the_session_checked():
    with line_server(Imap) as server:
        driver = IMAP(*server.server_address, user="user", password="secret")
        with fastpool.Pool(driver=driver, check_after=0) as pool:
            for _ in range(2):
                with pool.connection() as session:
                    assert session.state == "AUTH"
                    session.select("INBOX", readonly=True)
        said = [command for command in commands(server) if command != "CAPABILITY"]  # newer imaplibs ask twice
        assert said == ["LOGIN", "EXAMINE", "CLOSE", "NOOP", "EXAMINE", "CLOSE", "LOGOUT"]


def test_imap_a_refused_login_is_the_callers_at_once():
    with line_server(Imap) as one, line_server(Imap) as two:
        driver = IMAP(user="user", password="wrong")
        with fastpool.Pool(driver=driver, servers=[one.address, two.address]) as pool:
            with pytest.raises(imaplib.IMAP4.error, match="never"):
                pool.checkout()
            assert len(one.clients) + len(two.clients) == 1


@pytest.mark.parametrize("capabilities", [b"IMAP4REV1", b"IMAP4REV1 UNSELECT"])
def test_imap_a_mailbox_is_left_without_expunging_where_the_server_can(capabilities):
    handler = type("Able", (Imap,), {"capabilities": capabilities})
    with (
        line_server(handler) as server,
        fastpool.Pool(driver=IMAP(*server.server_address, user="user", password="secret")) as pool,
    ):
        with pool.connection() as session:
            session.select("INBOX", readonly=True)
        assert commands(server)[-1] == ("UNSELECT" if b"UNSELECT" in capabilities else "CLOSE")


class StartTls:
    """Mixed into a handler: it goes on over TLS when the client asks for that."""

    context: ssl.SSLContext

    def answer(self, words):
        if "STARTTLS" not in [word.upper() for word in words]:
            return super().answer(words)
        self.say(b"220 go on" if len(words) == 1 else words[0].encode() + b" OK go on")
        with contextlib.suppress(ssl.SSLError), self.context.wrap_socket(self.connection, server_side=True) as wrapped:
            with wrapped.makefile("rb") as self.rfile, wrapped.makefile("wb", 0) as self.wfile:
                for line in self.rfile:
                    self.server.saw.append((self.client_address[1], line.decode().split()))
                    if super().answer(line.decode().split()) is False:
                        break
        return False


class SmtpStartTls(StartTls, Smtp):
    def answer(self, words):
        if words[0].upper() == "EHLO":
            return self.say(b"250-small", b"250 STARTTLS")
        return super().answer(words)


class ImapStartTls(StartTls, Imap):
    capabilities = b"IMAP4REV1 STARTTLS"


@pytest.mark.parametrize("way", [True, "starttls"])
@pytest.mark.parametrize(("driver", "plain", "upgrading"), [(SMTP, Smtp, SmtpStartTls), (IMAP, Imap, ImapStartTls)])
def test_mail_over_tls(tls, driver, plain, upgrading, way):
    ours, theirs = tls
    handler = plain if way is True else type("Handler", (upgrading,), {"context": theirs})
    with line_server(handler) as server:
        if way is True:
            server.socket = theirs.wrap_socket(server.socket, server_side=True)
        options = {"check_after": 0, "max_size": 1}
        with fastpool.Pool(driver=driver(*server.server_address, tls=way, ssl_context=ours), **options) as pool:
            for _ in range(2):
                with pool.connection() as session:
                    assert isinstance(session.sock, ssl.SSLSocket) and session.noop()[0] in (250, "OK")
            assert pool.stats().connects == 1
        with fastpool.Pool(driver=driver(*server.server_address, tls=way)) as pool:
            with pytest.raises(ssl.SSLCertVerificationError):
                pool.checkout()
