"""What many tests of the pool begin with."""

import pytest

from fastpool.testing import VirtualClock


@pytest.fixture
def clock():
    """The pools' clock, which stands until it is told."""
    with VirtualClock() as clock:
        yield clock
