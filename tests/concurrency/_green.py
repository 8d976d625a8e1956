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

    def in_hub(self, call: Callable[..., Any], *args: Any) -> None:
        """Call it in the hub itself, at its next turn."""
        import gevent

        gevent.get_hub().loop.run_callback(call, *args)

    def wait(self, one: Any) -> None:
        """For the end of a greenlet, or of real work; raises what that has raised."""
        one.get(timeout=30)

    def real(self, work: Callable[[], Any]) -> Any:
        """Do it in the library's thread pool: a real thread, without a hub of its own at first."""
        import gevent

        return gevent.get_hub().threadpool.spawn(work)

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
        self.in_hub(one.kill)

    def in_hub(self, call: Callable[..., Any], *args: Any) -> None:
        """Call it in the hub itself, at its next turn."""
        import eventlet.hubs

        eventlet.hubs.get_hub().schedule_call_global(0, call, *args)

    def wait(self, one: Any) -> None:
        """For the end of a greenlet, or of real work; raises what that has raised."""
        one.wait()

    def real(self, work: Callable[[], Any]) -> Any:
        """Do it in the library's thread pool: a real thread, without a hub of its own at first."""
        import eventlet.tpool

        return eventlet.spawn(eventlet.tpool.execute, work)

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
