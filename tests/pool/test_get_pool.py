"""`fastpool.get_pool`: a pool by its name, instead of passing it around."""

import gc
import os

import pytest

import fastpool
from fastpool._core import private_in_use
from tests.pool.fake_driver import FakeDriver


def test_the_pool_of_this_name():
    with FakeDriver().pool(name="get-users") as users, FakeDriver().pool(name="get-orders") as orders:
        assert fastpool.get_pool("get-users") is users
        assert fastpool.get_pool("get-orders") is orders
        with fastpool.get_pool("get-users").connection():
            assert users.stats().leased == 1


def test_a_pool_without_a_name_has_one_too():
    with FakeDriver().pool() as pool:
        assert fastpool.get_pool(pool.name) is pool


def test_of_any_kind():
    pool = fastpool.AsyncPool(dict, name="of tasks", open=False)
    assert fastpool.get_pool("of tasks") is pool


def test_none_has_it():
    with FakeDriver().pool(name="get-users"), FakeDriver().pool(name="get-orders"):
        with pytest.raises(LookupError, match=r"no open pool is called 'user' .*: .*'get-orders'.*'get-users'"):
            fastpool.get_pool("user")


def test_several_have_it():
    with FakeDriver().pool(name="twice") as first:
        with FakeDriver().pool(name="twice"):
            with pytest.raises(LookupError, match=r"2 open pools are called 'twice' .*: .*'twice'"):
                fastpool.get_pool("twice")
        assert fastpool.get_pool("twice") is first, "a closed one does not count"


def test_closed_pools_are_not_given():
    pool = FakeDriver().pool(name="over")
    pool.close()
    with pytest.raises(LookupError, match="'over'") as raised:
        fastpool.get_pool("over")
    assert "'over'" not in str(raised.value).partition("open pools:")[2]


def test_a_name_keeps_no_pool_alive():
    if "immortal objects" in private_in_use():
        pytest.skip("pools are immortal here")
    fastpool.Pool(dict, name="dropped", open=False)
    gc.collect()
    with pytest.raises(LookupError):
        fastpool.get_pool("dropped")


@pytest.mark.parametrize("name", [None, 3, b"users"])
def test_a_name_is_a_string(name):
    with pytest.raises(TypeError, match=f"name must be a string, not {name!r}"):
        fastpool.get_pool(name)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_in_a_forked_child():
    with FakeDriver().pool(name="inherited") as pool:
        pid = os.fork()
        if pid == 0:
            os._exit(0 if fastpool.get_pool("inherited") is pool else 1)
        assert os.waitpid(pid, 0)[1] == 0
