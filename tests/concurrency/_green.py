"""The functions that gevent and eventlet name differently, under common names, for cases that are run with both."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

Work = Callable[[], Any]


def patch(library: str) -> None:
    """Apply the library's full monkey-patching."""
    if library == "gevent":
        import gevent.monkey

        gevent.monkey.patch_all()
    else:
        import eventlet

        eventlet.monkey_patch()


class Gevent:
    """The functions of gevent."""

    def __init__(self) -> None:
        import gevent
        import gevent.event
        import gevent.monkey

        self.sleep, self.spawn, self.Timeout = gevent.sleep, gevent.spawn, gevent.Timeout
        self.start_thread = gevent.monkey.get_original("_thread", "start_new_thread")

    def kill(self, one: Any) -> None:
        """Kill it in the next iteration of the hub, without waiting."""
        one.kill(block=False)

    def in_hub(self, call: Callable[..., Any], *args: Any) -> None:
        """Call it in the hub itself, in its next iteration."""
        import gevent

        gevent.get_hub().loop.run_callback(call, *args)

    def wait(self, one: Any) -> None:
        """Wait for the end of a greenlet or of `real` work; raises what that raised."""
        one.get(timeout=30)

    def real(self, work: Callable[[], Any]) -> Any:
        """Run it in the library's thread pool: a real thread, at first without a hub."""
        import gevent

        return gevent.get_hub().threadpool.spawn(work)

    def dead(self, one: Any) -> bool:
        return bool(one.dead)

    def end_of_thread(self) -> None:
        import gevent

        gevent.get_hub().destroy()


class Eventlet:
    """The functions of eventlet."""

    def __init__(self) -> None:
        import eventlet
        import eventlet.hubs
        import eventlet.patcher

        self.sleep, self.spawn, self.Timeout = eventlet.sleep, eventlet.spawn, eventlet.Timeout
        self.start_thread = eventlet.patcher.original("_thread").start_new_thread

    def kill(self, one: Any) -> None:
        """Kill it in the next iteration of the hub, without waiting."""
        self.in_hub(one.kill)

    def in_hub(self, call: Callable[..., Any], *args: Any) -> None:
        """Call it in the hub itself, in its next iteration."""
        import eventlet.hubs

        eventlet.hubs.get_hub().schedule_call_global(0, call, *args)

    def wait(self, one: Any) -> None:
        """Wait for the end of a greenlet or of `real` work; raises what that raised."""
        one.wait()

    def real(self, work: Callable[[], Any]) -> Any:
        """Run it in the library's thread pool: a real thread, at first without a hub."""
        import eventlet.tpool

        return eventlet.spawn(eventlet.tpool.execute, work)

    def dead(self, one: Any) -> bool:
        return bool(one.dead)

    def end_of_thread(self) -> None:
        """Do nothing: a hub of eventlet cannot be destroyed."""


def api_of(library: str) -> Any:
    return Gevent() if library == "gevent" else Eventlet()


def arguments() -> tuple[str, str, str]:
    """The library, case and WHEN of the command line."""
    library, case, when = sys.argv[1:4]
    return library, case, when
