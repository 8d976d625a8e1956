"""What many tests of the pool begin with."""

import pytest

from fastpool.testing import VirtualClock

from .fake_driver import SocketPairs


@pytest.fixture
def clock():
    """The pools' clock, which stands until it is told."""
    with VirtualClock() as clock:
        yield clock


@pytest.fixture
def pairs():
    """Socket pairs, all of which are closed in the end."""
    pairs = SocketPairs()
    yield pairs
    pairs.end()
