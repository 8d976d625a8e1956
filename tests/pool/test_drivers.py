"""fastpool.drivers with servers of the test's own: sqlite3, HTTP, SMTP, IMAP, and DB-API modules in general."""

from __future__ import annotations

import functools
import imaplib
import pickle
import smtplib
import sqlite3
import ssl
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

import fastpool
from fastpool import drivers
from fastpool.drivers import DBAPI, HTTP, IMAP, SMTP, SQLite
from tests.pool.fake_driver import PATIENCE
from tests.pool.small_servers import Imap, Smtp, commands, http_server, line_server

LIBRARIES = {"psycopg", "redis", "sqlite3", "smtplib", "imaplib", "http.client"}


def test_a_driver_is_imported_when_touched_and_its_library_when_the_first_is_made():
    program = f"""
import sys, fastpool
names = {LIBRARIES!r}
fastpool.drivers
fastpool.drivers.Psycopg, fastpool.drivers.Redis, fastpool.drivers.SQLite
fastpool.drivers.SMTP("h"), fastpool.drivers.IMAP("h"), fastpool.drivers.HTTP("h")
assert names.isdisjoint(sys.modules), names.intersection(sys.modules)
fastpool.drivers.SQLite(":memory:")
assert "sqlite3" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE * 4)


def test_all_are_there():
    assert {"DBAPI", "Psycopg", "Redis", "HTTP", "SMTP", "IMAP", "SQLite"} <= {*drivers.__all__, *dir(drivers)}
    with pytest.raises(AttributeError, match="Oracle"):
        drivers.Oracle


@pytest.mark.parametrize(
    ("error", "name", "make"),
    [
        (TypeError, "module_or_connect", lambda: DBAPI("sqlite3")),
        (TypeError, "module_or_connect", lambda: DBAPI(sys)),
        (TypeError, "ping", lambda: DBAPI(sqlite3, ping=3)),
        (TypeError, "autocommit", lambda: DBAPI(sqlite3, autocommit=1)),
        (ValueError, "threadsafety is 0", lambda: DBAPI(types.SimpleNamespace(threadsafety=0, connect=dict))),
        (TypeError, "pragmas", lambda: SQLite(":memory:", pragmas=["WAL"])),
        (ValueError, "pragmas", lambda: SQLite(":memory:", pragmas={"x; DROP": 1})),
        (TypeError, "host", lambda: HTTP(80)),
        (ValueError, "tls", lambda: SMTP(tls="ssl")),
        (TypeError, "password", lambda: SMTP(user="me")),
        (ValueError, "tls", lambda: IMAP(tls=None)),
        (TypeError, "user", lambda: IMAP(password="secret")),
    ],
)
def test_a_bad_argument_is_named(error, name, make):
    with pytest.raises(error, match=name):
        make()


@pytest.mark.parametrize("kind", [HTTP, SMTP, IMAP])
def test_without_host_and_servers_the_error_says_what_is_missing(kind):
    with fastpool.Pool(driver=kind()) as pool, pytest.raises(TypeError, match="host must be given"):
        pool.checkout()


# ---- sqlite3, by SQLite and by DBAPI


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "people.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE people (name TEXT PRIMARY KEY)")
    connection.close()
    return str(path)


WAYS = {
    "SQLite": SQLite,
    "module": lambda path, **given: DBAPI(sqlite3, path, **given),
    "function": lambda path, **given: DBAPI(sqlite3.connect, path, **given),
    "partial": lambda path, **given: DBAPI(functools.partial(sqlite3.connect, path), **given),
}


@pytest.fixture(params=WAYS)
def sqlite(request, path):
    return functools.partial(WAYS[request.param], path)


def names(pool):
    with pool.connection() as connection:
        return [name for (name,) in connection.execute("SELECT name FROM people ORDER BY name")]


def test_what_was_not_committed_is_rolled_back(sqlite):
    with fastpool.Pool(driver=sqlite()) as pool:
        with pool.connection() as connection:
            connection.execute("INSERT INTO people VALUES ('nobody')")
        assert names(pool) == []
        with pool.connection() as connection:
            connection.execute("INSERT INTO people VALUES ('somebody')")
            connection.commit()
        assert (names(pool), pool.stats().connects) == (["somebody"], 1)


@pytest.mark.parametrize("error", [sqlite3.IntegrityError, sqlite3.OperationalError, KeyError])
def test_an_exception_costs_no_connection(sqlite, error):
    with fastpool.Pool(driver=sqlite()) as pool:
        with pytest.raises(error), pool.connection() as connection:
            connection.execute("INSERT INTO people VALUES ('nobody')")
            if error is KeyError:
                raise error
            connection.execute({sqlite3.IntegrityError: "INSERT INTO people VALUES ('nobody')"}.get(error, "SELEKT"))
        assert (names(pool), pool.stats().connects) == ([], 1)


def test_a_connection_that_its_holder_closed_is_replaced(sqlite):
    with fastpool.Pool(driver=sqlite()) as pool:
        with pool.connection() as connection:
            connection.close()
        assert names(pool) == [] and pool.stats().connects == 2
        connection = pool.checkout()
        pool.checkin(connection)
        connection.close()  # behind the pool's back
        pool.resize(max_size=1)
        assert not pool.driver.check(connection, None)


@pytest.mark.parametrize("ping", [True, "SELECT 2", None, False])
@pytest.mark.parametrize("closed", [False, True])
def test_a_check_finds_out_whether_it_works(sqlite, ping, closed):
    driver = sqlite(ping=ping)
    connection = driver.connect(None, None)
    if closed:
        connection.close()
    assert driver.check(connection, 1) is not closed
    connection.close()


def test_a_check_by_a_function(path):
    answers = [None, True, False]
    driver = SQLite(path, ping=lambda c: answers.pop(0))
    connection = driver.connect(None, None)
    assert [driver.check(connection, None) for _ in range(3)] == [True, True, False]
    connection.close()


def test_a_statement_that_fails_means_dead(path):
    with fastpool.Pool(driver=SQLite(path, ping="SELEKT"), check_after=0) as pool:
        names(pool)
        names(pool)
        assert pool.stats().closed["dead"] == 1


@pytest.mark.parametrize("autocommit", [True, False])
def test_autocommit_is_set_and_set_again(sqlite, autocommit):
    with fastpool.Pool(driver=sqlite(autocommit=autocommit)) as pool:
        for level in (None, ""):
            with pool.connection() as connection:
                connection.isolation_level = level
        with pool.connection() as connection:
            connection.execute("INSERT INTO people VALUES ('somebody')")
            assert connection.in_transaction is not autocommit
        assert names(pool) == (["somebody"] if autocommit else []) and pool.stats().connects == 1


def test_pragmas_are_set_on_every_connection(path):
    with fastpool.Pool(driver=SQLite(path, pragmas={"journal_mode": "WAL", "foreign_keys": True})) as pool:
        with pool.connection() as one, pool.connection() as two:
            for connection in (one, two):
                assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
                assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_a_preparation_that_fails_closes_the_connection(path):
    class Failing(SQLite):
        def prepare(self, c):
            self.opened = c
            raise sqlite3.OperationalError("unprepared")

    driver = Failing(path)
    with fastpool.Pool(driver=driver) as pool, pytest.raises(sqlite3.OperationalError, match="unprepared"):
        pool.checkout()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        driver.opened.execute("SELECT 1")


def test_connections_pass_from_thread_to_thread(sqlite):
    with fastpool.Pool(driver=sqlite(), max_size=1) as pool:
        with ThreadPoolExecutor(4) as crew:
            assert list(crew.map(names, [pool] * 8)) == [[]] * 8
        assert pool.stats().connects == 1


@pytest.mark.parametrize("way", ["SQLite", "module", "function"])
def test_a_pool_of_it_is_pickled(path, way):
    pool = fastpool.Pool(driver=WAYS[way](path, timeout=7), name="pickled")
    data = pickle.dumps(pool)
    assert pickle.loads(data) is pool
    pool.close()
    with pickle.loads(data) as other:
        assert other is not pool and names(other) == []


# ---- DB-API modules in general


class Error(Exception):
    pass


class DataError(Error):
    pass


class OperationalError(Error):
    pass


class ProgrammingError(Error):
    pass


class Bare:
    """A connection with no more than PEP 249 asks for."""

    said: list[str]

    def __init__(self, **given):
        self.given, self.said = given, []

    def close(self):
        self.said.append("close")

    def rollback(self):
        self.said.append("rollback")


def bare(**more):
    return types.SimpleNamespace(threadsafety=1, connect=Bare, Error=Error, DataError=DataError, **more)


@pytest.fixture
def module(monkeypatch):
    """A module of the name under which the connections' class is."""
    module = types.ModuleType(__name__)
    vars(module).update(
        threadsafety=1, connect=Bare, Error=Error, DataError=DataError, ProgrammingError=ProgrammingError
    )
    monkeypatch.setitem(sys.modules, __name__, module)
    return module


@pytest.mark.parametrize(
    ("error", "kept"), [(DataError, True), (OperationalError, False), (Error, False), (KeyError, False)]
)
def test_of_an_unknown_module_only_harmless_errors_keep_the_connection(module, error, kept):
    with fastpool.Pool(driver=DBAPI(module)) as pool:
        with pytest.raises(error), pool.connection():
            raise error
        with pool.connection():
            assert pool.stats().connects == (1 if kept else 2)


def test_a_module_is_known_by_its_connections(module):
    with fastpool.Pool(driver=DBAPI(Bare, user="me")) as pool:
        with pytest.raises(DataError), pool.connection() as connection:
            raise DataError
        with pool.connection():
            assert (connection.said, connection.given) == (["rollback"], {"user": "me"})


def test_a_module_that_turns_out_unsafe_is_refused(module):
    module.threadsafety = 0
    with fastpool.Pool(driver=DBAPI(Bare)) as pool, pytest.raises(ValueError, match="threadsafety is 0"):
        pool.checkout()


def test_servers_give_host_and_port(module):
    with fastpool.Pool(driver=DBAPI(module), servers=["one:1", "two:2"]) as pool:
        with pool.connection() as one, pool.connection() as two:
            assert (one.given, two.given) == ({"host": "one", "port": 1}, {"host": "two", "port": 2})


def test_wrong_arguments_are_no_servers_fault(module):
    driver = DBAPI(module)
    blamed = [
        TypeError(),
        ProgrammingError(),
        OperationalError(1045, "denied"),
        OperationalError(2003),
        OSError(111, ""),
    ]
    assert [driver.blames_server(error) for error in blamed] == [False, False, False, True, True]


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
