"""fastpool.drivers for HTTP, SMTP and IMAP, with servers in threads of the test."""

from __future__ import annotations

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
@pytest.mark.parametrize("state", ["unused", "begun", "head", "part", "read", "last"])
def test_http_only_a_connection_in_step_is_used_again(state, raises):
    with http_server() as server, fastpool.Pool(driver=HTTP(), servers=[server.address], check_after=None) as pool:
        try:
            with pool.connection() as connection:
                if state == "begun":
                    connection.request("GET", "/a")
                elif state != "unused":
                    response = get(connection, "/last" if state == "last" else "/a")
                    response.read(*([3] if state == "part" else [])) if state != "head" else None
                if raises:
                    raise KeyError(state)
        except KeyError:
            pass
        with pool.connection() as connection:
            assert get(connection, "/b").read().decode() == f"/b from {server.address}"
        assert pool.stats().connects == (1 if state in ("unused", "read") else 2)


def test_http_the_checkouts_time_limits_the_connect_and_the_drivers_the_rest():
    with http_server() as server, fastpool.Pool(driver=HTTP(timeout=7), servers=[server.address]) as pool:
        with pool.connection(timeout=3) as connection:
            assert connection.sock.gettimeout() == connection.timeout == 7


def test_https():
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(ours)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    with http_server() as server:
        server.socket = theirs.wrap_socket(server.socket, server_side=True)
        for context, error in ((ours, None), (True, ssl.SSLCertVerificationError)):
            with fastpool.Pool(driver=HTTP(*server.server_address, ssl_context=context), check_after=0) as pool:
                if error is not None:
                    with pytest.raises(error):
                        pool.checkout()
                    continue
                for path in ("/a", "/b"):
                    with pool.connection() as connection:
                        assert get(connection, path).read()
                assert pool.stats().connects == 1


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
        assert commands(server) == [
            *("CAPABILITY", "LOGIN", "EXAMINE", "CLOSE"),
            *("NOOP", "EXAMINE", "CLOSE", "LOGOUT"),
        ]


def test_imap_a_refused_login_is_the_callers_at_once():
    with line_server(Imap) as one, line_server(Imap) as two:
        driver = IMAP(user="user", password="wrong")
        with fastpool.Pool(driver=driver, servers=[one.address, two.address]) as pool:
            with pytest.raises(imaplib.IMAP4.error, match="never"):
                pool.checkout()
            assert len(one.clients) + len(two.clients) == 1
