"""Settings for all tests: no deadline for a drawn example, because it depends on the machine; Ctrl-C interrupts also
where a shell started the run in the background and so had it ignored; a limit of the whole run's time; and no test
leaves a hub or a stopped clock behind."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--time-limit", type=float, metavar="SECONDS", help="skip the tests that have not begun after this many seconds"
    )


RUN_BEGAN = time.monotonic()


def pytest_runtest_setup(item: pytest.Item) -> None:
    limit = item.config.getoption("--time-limit")
    if limit is not None and time.monotonic() - RUN_BEGAN > limit:
        pytest.skip(f"not begun within --time-limit={limit:g} seconds")


@pytest.fixture
def no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """For exceptions at random moments: one of them can leave the lock of a log handler taken (CPython 3.14 takes it by
    ``with``), and then each thread that logs waits for ever, with the connection that it has."""
    # Not by the list of handlers: pytest adds its own to every logger that does not propagate.
    monkeypatch.setattr(logging.getLogger("fastpool"), "disabled", True)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Fail if a test in this process left a hub in this thread, where a wait would switch to other greenlets, or a
    stopped clock."""
    yield
    if "gevent._hub_local" in sys.modules:
        from gevent._hub_local import get_hub_if_exists

        assert get_hub_if_exists() is None, "this test leaves a hub of gevent's"
    if "eventlet.hubs" in sys.modules:
        assert not hasattr(sys.modules["eventlet.hubs"]._threadlocal, "hub"), "this test leaves a hub of eventlet's"
    if "fastpool._core" in sys.modules:
        assert not sys.modules["fastpool._core"].clock_is_stopped(), "this test leaves the pools' clock stopped"
