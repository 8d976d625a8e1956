"""How a block begins and ends: by `with`, by a stack of contexts, by hand; and calls that are refused."""

import contextlib
import inspect

import pytest

import fastpool


class Stub:
    closed = False

    def close(self):
        self.closed = True


@pytest.fixture
def pool():
    with fastpool.Pool(Stub, max_size=2) as pool:
        yield pool


def leased(pool):
    return pool.stats().leased


def test_by_hand_as_with_does_it(pool):
    lease = pool.connection()
    c = lease.__enter__()
    assert (lease.connection, leased(pool)) == (c, 1)
    assert lease.__exit__(None, None, None) is None
    assert (lease.connection, leased(pool)) == (None, 0)


def test_by_the_class_as_contextlib_does_it(pool):
    lease = pool.connection()
    c = type(lease).__enter__(lease)
    assert (lease.connection, leased(pool)) == (c, 1)
    assert type(lease).__exit__(lease, None, None, None) is None
    assert leased(pool) == 0


def test_in_an_exit_stack(pool):
    with contextlib.ExitStack() as stack:
        a, b = (stack.enter_context(pool.connection()) for _ in range(2))
        assert a is not b
        assert leased(pool) == 2
    assert leased(pool) == 0


def test_an_exit_stack_passes_the_error_on(pool):
    with pytest.raises(KeyError), contextlib.ExitStack() as stack:
        c = stack.enter_context(pool.connection())
        raise KeyError
    assert c.closed


def test_what_was_looked_up_belongs_to_its_lease(pool):
    one, two = pool.connection(), pool.connection()
    enter_one, enter_two = one.__enter__, two.__enter__
    exit_one, exit_two = one.__exit__, two.__exit__
    b, a = enter_two(), enter_one()
    assert (one.connection, two.connection) == (a, b)
    exit_one(None, None, None)
    assert (one.connection, two.connection) == (None, b)
    exit_two(None, None, None)
    assert leased(pool) == 0


@pytest.mark.parametrize("given", [(), (1, 2), (1, 2, 3, 4)])
def test_a_lease_is_not_entered_by_calling_it(pool, given):
    with pytest.raises(TypeError, match="a lease is a context manager, and as a decorator is called with one function"):
        pool.connection()(*given)
    assert leased(pool) == 0


def test_looking_up_the_way_in_opens_it_once(pool):
    lease = pool.connection()
    enter = lease.__enter__
    enter()
    with pytest.raises(TypeError, match="context manager"):
        lease()
    with pytest.raises(fastpool.LeaseError, match="good for one block"):
        lease.__enter__()
    lease.__exit__(None, None, None)
    with pytest.raises(fastpool.LeaseError, match="has ended already"):
        lease.__exit__(None, None, None)


def test_a_way_out_without_a_way_in(pool):
    with pytest.raises(fastpool.LeaseError, match="has ended already"):
        pool.connection().__exit__(None, None, None)


def test_an_end_by_keywords_is_refused_and_ends_nothing(pool):
    with pool.connection() as c:
        lease = pool.connection()
        lease.__enter__()
        with pytest.raises(TypeError):
            lease.__exit__(kind=None, exc=None, trace=None)
        assert leased(pool) == 2
        lease.__exit__(None, None, None)
        assert not c.closed


def test_the_class_says_how_it_is_used(pool):
    kind = type(pool.connection())
    assert list(inspect.signature(kind.__exit__).parameters) == ["self", "kind", "exc", "trace"]
    assert isinstance(pool.connection(), contextlib.AbstractContextManager)


def test_a_lease_that_was_made_by_nobody():
    kind = type(fastpool.Pool(Stub).connection())
    for call in (kind.__enter__, lambda lease: lease(print), lambda lease: lease.__exit__(None, None, None)):
        with pytest.raises(fastpool.LeaseError):
            call(kind())
