"""The interpreter's own threads and locks, even where gevent or eventlet has replaced them.

The keeper and its helpers are real threads with real locks even in a patched process: a checkin must never switch
greenlets, and some checkins wake the keeper.
"""

from __future__ import annotations

import sys

from .._light.hints import TYPE_CHECKING, Any
from .compat import gevents_hub, listed_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from . import Post


def _original(module: str, name: str) -> Any:
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None:
        return gevent.get_original(module, name)
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None:
        return getattr(eventlet.original(module), name)
    return getattr(__import__(module), name)


# Looked up now, because a later look-up could import, and wait.
start_new_thread = _original("_thread", "start_new_thread")
start_joinable_thread = _original("_thread", "start_joinable_thread") if sys.version_info >= (3, 13) else None
allocate_lock = _original("_thread", "allocate_lock")
TIMEOUT_MAX: float = _original("_thread", "TIMEOUT_MAX")


class WakeEvent:
    """An event on which one of the pools' own threads sleeps."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the thread, or let its next sleep end at once."""
        try:
            self._lock.release()
        except RuntimeError:
            pass  # it rings already

    def wait(self, seconds: float) -> bool:
        """Sleep until `set` is called; False: it was not, for so long."""
        rang: bool = self._lock.acquire(True, min(max(seconds, 0.0), TIMEOUT_MAX))
        return rang


def start(post: Post, name: str, work: Callable[[], None]) -> None:
    """Have a daemon thread run ``work`` unless the post is held; RuntimeError if none can be started.

    It does not wait: threading's own start waits for the thread while it holds a lock that finalizers in the thread
    may want.
    """
    if post.held:
        return
    patched = "gevent.monkey" in sys.modules or "eventlet.patcher" in sys.modules
    listed = None if patched else listed_thread(name, work)
    if listed is None:
        post.fill(start_new_thread, work)
    else:
        post.fill(start_joinable_thread or start_new_thread, *listed)


def leave_hub() -> None:
    """Destroy the hub that gevent leaves behind in a thread that used it; for threads that are about to end."""
    hub = gevents_hub()
    if hub is not None:
        hub.destroy(destroy_loop=True)
