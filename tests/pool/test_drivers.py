"""fastpool.drivers with servers of the test's own: sqlite3, HTTP, SMTP, IMAP, and DB-API modules in general."""

from __future__ import annotations

import functools
import pickle
import sqlite3
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

import fastpool
from fastpool import drivers
from fastpool.drivers import DBAPI, HTTP, IMAP, SMTP, SQLite
from tests.pool.fake_driver import PATIENCE
from tests.test_docs import ROOT, blocks

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


def test_settings_of_a_holder_end_with_its_lease(sqlite):
    names = ("isolation_level", "row_factory", "text_factory")
    with fastpool.Pool(driver=sqlite(), max_size=1) as pool:
        with pool.connection() as connection:
            new = [getattr(connection, name) for name in names]
            connection.isolation_level = "IMMEDIATE"
            connection.row_factory = sqlite3.Row
            connection.text_factory = bytes
        with pool.connection() as connection:
            assert [getattr(connection, name) for name in names] == new
            assert connection.execute("SELECT 'a'").fetchone() == ("a",)
        assert pool.stats().connects == 1


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


# ---- the page


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the tests run without the checkout around them")
def test_the_examples_of_the_page_run():
    ran = [block for block in blocks("docs/drivers.md") if ".example" not in block]
    assert len(ran) == 2
    for block in ran:
        exec(compile(block, "drivers.md", "exec"), {"__name__": "page"})
