"""The ways to make a pool: of callables, or of a Driver; the defaults, and the errors for bad arguments."""

import functools
import re

import pytest

import fastpool
from fastpool import Driver, Pool
from tests.pool.fake_driver import FakeDriver, Plain, serves


class Bare:
    """A connection with no methods at all."""


class Closing(Bare):
    """A connection that can be closed."""

    closed = False
    closes = 0

    def close(self):
        self.closed = True
        self.closes += 1


def use(pool):
    with pool.connection() as c:
        return c


# ---- callables


def test_connect_is_all_that_is_needed():
    pool = Pool(Bare, max_size=2, check_after=0)
    first = use(pool)
    assert use(pool) is first
    pool.clear()  # closing has nothing to do
    assert use(pool) is not first
    pool.close()
    assert pool.stats().closed["closed"] == 1


def test_a_connection_is_closed_by_its_own_close_or_by_the_one_given():
    pool = Pool(Closing)
    c = use(pool)
    pool.close()
    assert c.closes == 1
    told = []
    pool = Pool(Closing, close=told.append)
    c = use(pool)
    pool.close()
    assert (told, c.closes) == ([c], 0)


def test_a_connect_without_a_return_is_told_so():
    pool = Pool(lambda: None, max_size=1)
    for _ in range(2):
        with pytest.raises(TypeError, match="connect returned None instead of a connection: is there a `return` miss"):
            use(pool)
    assert (pool.stats().connect_errors, len(pool)) == (2, 0)


class Opener:
    """Callables for `connect`, one for each kind of signature."""

    def __init__(self):
        self.got = []

    def nothing(self):
        self.got.append(())
        return self

    def by_name(self, *, timeout):
        self.got.append(("timeout", timeout))
        return self

    def with_default(self, timeout=7):
        self.got.append(("timeout", timeout))
        return self

    def server_and_timeout(self, server, timeout=None):
        self.got.append((server, timeout))
        return self

    def server_only(self, server):
        self.got.append((server,))
        return self

    def anything(self, **options):
        self.got.append(options)
        return self

    def positional_only(self, timeout=7, /):
        self.got.append(("not told", timeout))
        return self

    def __call__(self, timeout):
        self.got.append(("called", timeout))
        return self


@pytest.mark.parametrize(
    ("way", "servers", "expected"),
    [
        ("nothing", None, ()),
        ("by_name", None, ("timeout", 3.0)),
        ("with_default", None, ("timeout", 3.0)),
        ("server_and_timeout", ["a:1"], (("a", 1), 3.0)),
        ("server_only", ["a:1"], (("a", 1),)),
        ("anything", None, {}),
        ("positional_only", None, ("not told", 7)),
        ("__call__", None, ("called", 3.0)),
    ],
)
def test_connect_is_told_what_it_has_parameters_for(way, servers, expected):
    opener = Opener()
    connect = opener if way == "__call__" else getattr(opener, way)
    with fastpool.testing.VirtualClock():
        use(Pool(connect, servers=servers, timeout=3))
        use(Pool(functools.partial(connect), servers=servers, timeout=3))
    assert opener.got == [expected, expected]


def test_what_cannot_be_inspected_is_called_without_a_timeout():
    assert use(Pool(dict)) == {}


@pytest.mark.parametrize("part", ["connect", "close", "check", "reset", "fileno"])
def test_what_cannot_be_called_is_refused(part):
    with pytest.raises(TypeError, match=re.escape(f"{part} must be callable, not 5")):
        Pool(**{"connect": Bare, part: 5})


@pytest.mark.parametrize("keep_on", ["KeyError", 5, [KeyError, 5], int])
def test_keep_on_must_be_exceptions(keep_on):
    wrong = re.escape(repr(keep_on[1] if isinstance(keep_on, list) else keep_on))
    with pytest.raises(TypeError, match=f"keep_on must be exception classes, not {wrong}"):
        Pool(Bare, keep_on=keep_on)


@pytest.mark.parametrize("keep_on", [KeyError, [KeyError], {KeyError}, (ValueError, KeyError)])
def test_keep_on_may_be_one_or_several(keep_on):
    pool = Pool(Bare, keep_on=keep_on)
    with pytest.raises(KeyError), pool.connection():
        raise KeyError
    assert len(pool) == 1


def test_an_option_that_there_is_not():
    with pytest.raises(TypeError, match=r"max_sise.*max_size"):
        Pool(Bare, max_sise=3)


# ---- a Driver


def test_a_driver_says_how_to_connect():
    class Half(Driver):
        pass

    pool = Pool(driver=Half(), max_size=1)
    with pytest.raises(TypeError, match="Half does not say how to connect: override connect"):
        use(pool)
    assert pool.stats().connect_errors == 1


def test_the_rest_of_a_driver_has_defaults():
    class Whole(Driver):
        def connect(self, server, timeout):
            return Closing()

    driver = Whole()
    c = driver.connect(None, None)
    assert driver.check(c, None) is True
    assert driver.ping(c, None) is True
    assert driver.reset(c) is None
    assert driver.fileno(c) == -1
    assert driver.usable(c, KeyError()) is False
    assert driver.abandon(c) is None
    assert c.closes == 0
    driver.close(c)
    assert c.closes == 1
    pool = Pool(driver=driver)
    with pytest.raises(KeyError), pool.connection() as c:
        raise KeyError
    assert c.closes == 1
    serves(Pool(driver=driver, max_size=3), 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, r"Pool\(\) needs connect, a callable that opens a connection, or driver="),
        (
            {"connect": Bare, "driver": FakeDriver()},
            "driver= says all about a connection: connect cannot be given, too",
        ),
        ({"close": print, "driver": FakeDriver()}, "driver= says all about a connection: close cannot be given, too"),
        ({"keep_on": KeyError, "driver": FakeDriver()}, "driver= says all about a connection: keep_on cannot be given"),
        ({"driver": FakeDriver}, r"driver must be a fastpool.Driver \(an instance, not the class\), not "),
        ({"driver": Bare()}, "driver must be a fastpool.Driver, not "),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, said):
    with pytest.raises(TypeError, match=said):
        Pool(**arguments)


# ---- the pool as an object


def test_an_empty_pool_is_a_pool():
    pool = Pool(Bare)
    assert pool
    assert len(pool) == 0
    pool.close()
    assert pool


def test_pools_have_names_of_their_own():
    one, two = Pool(Bare), Pool(Bare)
    first, second = (int(re.fullmatch(r"pool-(\d+)", pool.name)[1]) for pool in (one, two))
    assert second == first + 1
    assert one.stats().name == one.name
    assert Pool(Bare, name="users").stats().name == "users"


class Users(Pool):
    """A user's subclass of Pool."""

    def __init__(self):
        super().__init__(Bare, name="users")

    def first(self):
        with self.connection() as c:
            return c


def test_a_subclass_is_a_pool():
    pool = Users()
    assert pool.first() is pool.first()
    c = pool.checkout()
    pool.checkin(c)
    assert re.fullmatch(r"<fastpool\.Users 'users' 0 leased, 1 idle, 0 waiting, max 10>", repr(pool))
    with pool, pool.connection(timeout=1):
        assert pool.leases()[0].depth == 1
    assert pool.closed


def test_the_drivers_methods_are_given_by_a_subclass_of_it():
    """FakeDriver and Plain differ by check and reset only; a pool looks at what is overridden, not at what is there."""
    with fastpool.testing.VirtualClock() as clock:
        for kind, checks in ((FakeDriver, 1), (Plain, 0)):
            driver = kind()
            pool = driver.pool()
            use(pool)
            clock.advance(1)
            use(pool)
            assert driver.checking.calls == checks
            assert driver.resetting.calls == 2 * checks
