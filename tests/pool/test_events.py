"""Listeners: what can be one, what each is told, and that a failing one does no harm."""

import logging
import time
from types import SimpleNamespace

import pytest

from fastpool._telemetry.events import EVENTS, Event, Listeners

POOL = SimpleNamespace(name="users")


class Recorder:
    def __init__(self):
        self.heard = []

    def connected(self, event):
        self.heard.append(event)


def test_the_events_are_those_that_are_promised():
    assert set(EVENTS) == {
        *("pool_opened", "pool_cleared", "pool_closed"),
        *("connect_started", "connected", "connect_failed", "closed_connection"),
        *("checkout_started", "checkout_failed", "checked_out", "checked_in", "wait_started", "leak_suspected"),
        *("server_down", "server_up"),
    }
    assert len(EVENTS) == len(set(EVENTS))


def test_an_object_is_told_what_it_has_a_method_for():
    recorder = Recorder()
    listeners = Listeners([recorder])
    listeners.tell(POOL, "connected", server=("a", 1), duration=0.25)
    listeners.tell(POOL, "checked_in")
    [event] = recorder.heard
    assert (event.pool, event.name, event.server, event.duration) == (POOL, "connected", ("a", 1), 0.25)
    assert (event.connection, event.reason, event.error, event.waited) == (None, None, None, None)
    assert abs(event.time - time.time()) < 60


def test_a_dict_is_told_what_it_has_a_key_for():
    heard = []
    listeners = Listeners([{"checked_in": heard.append, "checked_out": heard.append}])
    for name in EVENTS:
        listeners.tell(POOL, name)
    assert sorted(event.name for event in heard) == ["checked_in", "checked_out"]


def test_all_are_told_in_the_order_given_with_one_and_the_same_event():
    heard = []
    listeners = Listeners(
        [{"connected": lambda event, name=name: heard.append((name, event))} for name in ("first", "second", "third")]
    )
    listeners.tell(POOL, "connected")
    assert [name for name, _ in heard] == ["first", "second", "third"]
    assert len({id(event) for _, event in heard}) == 1


def test_hears_and_truth():
    assert not Listeners()
    assert not Listeners().hears("connected")
    listeners = Listeners([Recorder()])
    assert listeners
    assert listeners.hears("connected")
    assert not listeners.hears("checked_in")
    assert "connected" in repr(listeners)


@pytest.mark.parametrize("listener", [object(), {}, 3, SimpleNamespace(connect=print)])
def test_what_listens_to_nothing_is_refused(listener):
    with pytest.raises(TypeError, match="listens to nothing"):
        Listeners([listener])


def test_an_unknown_event_in_a_dict_is_refused_and_named():
    with pytest.raises(TypeError, match="there is no event 'conected'"):
        Listeners([{"connected": print, "conected": print}])


@pytest.mark.parametrize("listener", [{"connected": 3}, SimpleNamespace(connected=3)])
def test_what_cannot_be_called_is_refused(listener):
    with pytest.raises(TypeError, match=r"connected of .* cannot be called: 3"):
        Listeners([listener])


def test_a_listener_that_raises_is_logged_and_the_next_one_told(caplog):
    class Broken:
        def connected(self, event):
            raise RuntimeError("no disk")

        def __repr__(self):
            raise AssertionError("its repr is user code, too")

    recorder = Recorder()
    with caplog.at_level(logging.ERROR, "fastpool"):
        Listeners([Broken(), recorder]).tell(POOL, "connected")
    assert len(recorder.heard) == 1
    [record] = caplog.records
    assert record.name == "fastpool"
    assert record.getMessage().endswith("Broken.connected of pool 'users' failed on connected")
    assert record.exc_info[0] is RuntimeError


def test_an_interrupt_in_a_listener_is_not_swallowed():
    def interrupted(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Listeners([{"connected": interrupted}]).tell(POOL, "connected")


def test_an_event_shows_what_is_set():
    event = Event(POOL, "closed_connection", reason="dead", waited=0.5)
    assert repr(event) == "<fastpool.Event closed_connection 'users' reason='dead' waited=0.500000>"
    assert not hasattr(event, "__dict__")
