"""Fixtures for many tests of the pool."""

import pytest

from fastpool.testing import VirtualClock

from .fake_driver import SocketPairs


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
