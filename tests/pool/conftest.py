"""Fixtures for many tests of the pool."""

import pytest

from fastpool.testing import VirtualClock

from .fake_driver import SocketPairs
from .real_servers import redis_server


@pytest.fixture
def clock():
    """The pools' clock, which stands still until a test moves it."""
    with VirtualClock() as clock:
        yield clock


@pytest.fixture
def pairs():
    """Socket pairs, all of which are closed at the end."""
    pairs = SocketPairs()
    yield pairs
    pairs.end()


@pytest.fixture(scope="module")
def redis_address():
    """The address of a Redis for the tests of a module; they are skipped where Redis or redis-py is not installed."""
    pytest.importorskip("redis")
    with redis_server() as address:
        yield address
