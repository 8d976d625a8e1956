"""The interpreter's own threads and locks, whatever gevent or eventlet has put in their place.

The keeper and its helpers are real threads with real locks also where both are patched: a checkin must never switch
greenlets, and waking the keeper is part of some checkins.
"""

from __future__ import annotations

import sys

from .._light.hints import TYPE_CHECKING, Any
from .compat import listed_thread, way_to_gevents_hub

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


# Looked up now: a call later could import, and wait.
start_new_thread = _original("_thread", "start_new_thread")
allocate_lock = _original("_thread", "allocate_lock")


def start(post: Post, name: str, work: Callable[[], None]) -> None:
    """Have a daemon thread run ``work`` unless the post is held; RuntimeError if none can be started.

    It waits for nothing: threading's own start waits for the thread, with a lock in hand that the thread's own
    finalizers may want.
    """
    if post.held:
        return
    patched = "gevent.monkey" in sys.modules or "eventlet.patcher" in sys.modules
    listed = None if patched else listed_thread(name, work)
    if listed is None:
        post.fill(start_new_thread, work)
    else:
        limbo, thread = listed
        post.fill(start_new_thread, thread._bootstrap, limbo, thread)


def leave_hub() -> None:
    """In a thread that is about to end: gevent leaves a loop behind in each in which it was used."""
    hub = way_to_gevents_hub()() if "gevent.hub" in sys.modules else None
    if hub is not None:
        hub.destroy(destroy_loop=True)
