"""How a greenlet of eventlet sleeps and is woken. (A thread's way, a task's and a gevent greenlet's are in the core.)

The question is "does *this thread* have a hub?", asked when a caller has to wait: the pool may be older than a
monkey-patch, and a worker of a thread pool has no hub although the process is patched.
"""

from __future__ import annotations

import sys

from .._light.hints import TYPE_CHECKING, Any
from .compat import eventlets_end, eventlets_hub, way_to_gevents_hub

if TYPE_CHECKING:
    from collections.abc import Callable


def sleeper_here(thread: int, is_alive: Callable[[int], bool]) -> EventletSleeper | None:
    """Give what the current greenlet sleeps on, None where it is the thread itself that must sleep.

    ``thread`` is the number of the current thread, and ``is_alive(number)`` says whether a thread has not ended.

    RuntimeError in the hub's own greenlet: it must never block.
    """
    hub = eventlets_hub()
    return None if hub is None else EventletSleeper(hub, thread, is_alive)


def pause(seconds: float) -> None:
    """Sleep without blocking the hub of this thread, if it has one."""
    if "gevent.hub" in sys.modules:
        import gevent

        if way_to_gevents_hub()() is not None:
            gevent.sleep(seconds)
            return
    if eventlets_hub() is not None:
        import eventlet

        eventlet.sleep(seconds)
        return
    import time

    time.sleep(seconds)


def spawner_here() -> Callable[[Callable[[], None]], object] | None:
    """A function that starts another greenlet, with an empty context, in this thread; None where no hub would run it.

    A thread may have a hub that nobody switches to: it runs where the caller is a greenlet of the hub's, or where all
    that blocks is patched.
    """
    if "gevent.hub" in sys.modules:
        import gevent

        monkey = sys.modules.get("gevent.monkey")  # not imported here: it says to others that something may be patched
        hub = way_to_gevents_hub()()
        patched = monkey is not None and monkey.is_module_patched("socket")
        if hub is not None and (patched or gevent.getcurrent().parent is hub):
            spawn: Callable[[Callable[[], None]], object] = gevent.spawn_raw
            return spawn
    hub = eventlets_hub()
    if hub is not None:
        import eventlet
        import greenlet

        if greenlet.getcurrent().parent is hub.greenlet or eventlet.patcher.is_monkey_patched("socket"):
            spawn = eventlet.spawn_n
            return spawn
    return None


def suspended_for_ever(greenlet: Any) -> bool:
    """Whether a greenlet whose thread has ended had not come to its own end: then it never will.

    greenlet itself calls both dead; gevent's and eventlet's know whether theirs have a result. False if unknown.
    """
    if hasattr(greenlet, "successful"):  # gevent.Greenlet
        return not greenlet.successful() and greenlet.exception is None
    over = eventlets_end(greenlet)
    return over is not None and not over.ready()


class EventletSleeper:
    """One wait of one greenlet on its thread's eventlet hub, woken through a pair of sockets.

    Nothing else that eventlet has wakes a hub from another thread.
    """

    __slots__ = ("_is_alive", "_near", "_thread", "_woken")

    def __init__(self, hub: Any, thread: int, is_alive: Callable[[int], bool]) -> None:
        import greenlet

        self._woken = False
        self._thread, self._is_alive = thread, is_alive
        self._near: Any = None
        if greenlet.getcurrent() is hub.greenlet:
            raise RuntimeError("a checkout that has to wait cannot be made in eventlet's hub: spawn a greenlet for it")

    def sleep(self, seconds: float) -> None:
        """Switch to the hub until woken or until ``seconds`` are over. A kill or Timeout raises here."""
        import eventlet.patcher
        from eventlet.hubs import trampoline
        from eventlet.timeout import Timeout

        if self._woken:
            return
        near, far = eventlet.patcher.original("socket").socketpair()
        self._near = near
        limit = Timeout(max(seconds, 0.0))
        try:
            if not self._woken:
                trampoline(far, read=True)
        except Timeout as over:
            if over is not limit:
                raise
        finally:
            limit.cancel()
            self._near = None
            near.close()
            far.close()

    def wake(self) -> bool:
        """Wake the greenlet, from whatever thread; False when its thread, and so its hub, is gone."""
        if not self._is_alive(self._thread):
            return False
        self._woken = True
        near = self._near
        if near is not None:
            try:
                near.send(b"!")
            except OSError:
                pass  # it woke by itself, and has seen what was decided
        return True
