"""Tests of users replace a pool's methods on an instance; afterwards no trace of that is left."""

import sys
from unittest import mock

import pytest

import fastpool
from tests.pool.fake_driver import FREE_THREADED
from tests.process._scripts import run


class Stub:
    def close(self):
        pass


def happybase_pool():
    pytest.importorskip("happybase", reason="happybase is not installed")
    return fastpool.ConnectionPool(1, host="localhost", open=False)


def aiohappybase_pool():
    pytest.importorskip("fastpool.aio", reason="aiohappybase is not installed", exc_type=ImportError)
    return fastpool.aio.ConnectionPool(1, host="localhost", open=False)


POOLS = {
    "Pool": lambda: fastpool.Pool(Stub),
    "AsyncPool": lambda: fastpool.AsyncPool(Stub),
    "ConnectionPool": happybase_pool,
    "aio.ConnectionPool": aiohappybase_pool,
}
METHODS = ("connection", "aconnection", "checkout", "checkin", "open", "close", "stats", "leases", "warm", "clear")


@pytest.fixture(params=POOLS)
def pool(request):
    pool = POOLS[request.param]()
    yield pool
    if isinstance(pool, fastpool.AsyncPool):
        fastpool.Pool.close(pool)
    else:
        pool.close()


@pytest.mark.parametrize("method", METHODS)
def test_a_method_of_an_instance_can_be_patched(pool, method):
    before = getattr(pool, method)
    with mock.patch.object(pool, method) as patched:
        assert getattr(pool, method) is patched
    assert getattr(pool, method) == before
    assert vars(pool) == {}


def test_pytests_way_leaves_nothing_behind_either(pool, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(pool, "connection", lambda timeout=None: "mine")
        assert pool.connection() == "mine"
    assert vars(pool) == {}


def test_a_patched_block_is_entered_and_left_as_the_test_says():
    with fastpool.Pool(Stub) as pool:
        with mock.patch.object(pool, "connection") as patched:
            patched.return_value.__enter__.return_value = "a connection"
            with pool.connection(timeout=1) as c:
                assert c == "a connection"
        patched.assert_called_once_with(timeout=1)
        assert pool.stats().checkouts == 0
        with pool.connection() as c:
            assert isinstance(c, Stub)


def test_only_this_pool_is_patched():
    with fastpool.Pool(Stub) as patched, fastpool.Pool(Stub) as other, mock.patch.object(patched, "checkout"):
        c = other.checkout()
        assert isinstance(c, Stub)
        other.checkin(c)


def test_a_mock_may_have_a_pool_for_its_spec(pool):
    spec = mock.create_autospec(pool, instance=True)
    spec.checkin("c")
    spec.checkin.assert_called_once_with("c")
    with pytest.raises(AttributeError):
        spec.conection  # a misspelt name


NO_PATCH = """
import dis, sys
import fastpool

class Stub:
    def close(self):
        pass

pool = getattr(fastpool, sys.argv[1])(Stub)

def leases():
    for _ in range(1000):
        pool.connection()

leases()
print(*(step.opname for step in dis.get_instructions(leases, adaptive=True)))
"""


@pytest.mark.skipif(FREE_THREADED, reason="without the GIL each thread has code of its own to specialise")
@pytest.mark.parametrize("kind", ["Pool", "AsyncPool"])
def test_a_pool_without_a_patch_is_called_by_the_interpreters_fast_way(kind):
    """As for a class without an instance dict: no bound method is made, and no argument tuple.

    In a process of its own: on 3.14 a name that was once set on one instance is looked for in all of the class.
    """
    names = run(NO_PATCH, kind).split()
    if sys.version_info[:2] != (3, 12):  # 3.12 caches attribute look-ups only for instances made by object.__new__
        assert [name for name in names if "METHOD_WITH_VALUES" in name or "METHOD_LAZY_DICT" in name], names
    assert [name for name in names if "METHOD_DESCRIPTOR_FAST" in name], names
