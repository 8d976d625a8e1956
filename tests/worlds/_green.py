"""What gevent and eventlet call differently, under one name each, for cases that are tried with both."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

Work = Callable[[], Any]


def patch(library: str) -> None:
    """Monkey-patch all that the library can."""
    if library == "gevent":
        import gevent.monkey

        gevent.monkey.patch_all()
    else:
        import eventlet

        eventlet.monkey_patch()


class Gevent:
    """gevent's way."""

    def __init__(self) -> None:
        import gevent
        import gevent.event
        import gevent.monkey

        self.sleep, self.spawn, self.Timeout = gevent.sleep, gevent.spawn, gevent.Timeout
        self.start_thread = gevent.monkey.get_original("_thread", "start_new_thread")

    def kill(self, one: Any) -> None:
        """Soon: at the next turn of the hub."""
        one.kill(block=False)

    def expire(self, one: Any, limit: Any) -> None:
        """At the next turn of the hub, what the Timeout's timer does when the time is over."""
        import gevent

        gevent.get_hub().loop.run_callback(one.throw, limit)

    def dead(self, one: Any) -> bool:
        return bool(one.dead)

    def end_of_thread(self) -> None:
        import gevent

        gevent.get_hub().destroy()


class Eventlet:
    """eventlet's way."""

    def __init__(self) -> None:
        import eventlet
        import eventlet.hubs
        import eventlet.patcher

        self.sleep, self.spawn, self.Timeout = eventlet.sleep, eventlet.spawn, eventlet.Timeout
        self.start_thread = eventlet.patcher.original("_thread").start_new_thread

    def kill(self, one: Any) -> None:
        """Soon: at the next turn of the hub."""
        import eventlet.hubs

        eventlet.hubs.get_hub().schedule_call_global(0, one.kill)

    def expire(self, one: Any, limit: Any) -> None:
        """At the next turn of the hub, what the Timeout's timer does when the time is over."""
        import eventlet.hubs

        eventlet.hubs.get_hub().schedule_call_global(0, one.throw, limit)

    def dead(self, one: Any) -> bool:
        return bool(one.dead)

    def end_of_thread(self) -> None:
        """Its hubs have no end."""


def green(library: str) -> Any:
    return Gevent() if library == "gevent" else Eventlet()


def arguments() -> tuple[str, str, str]:
    """Library, case and when, of a program of cases."""
    library, case, when = sys.argv[1:4]
    return library, case, when
