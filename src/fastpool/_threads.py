"""The interpreter's own threads and locks, whatever gevent or eventlet has put in their place.

The keeper and its helpers are real threads with real locks also where both are patched: a checkin must never switch
greenlets, and waking the keeper is part of some checkins.
"""

from __future__ import annotations

import sys

from ._hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core import Post


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
    listed = _listed(name, work)
    if listed is None:
        post.fill(start_new_thread, work)
    else:
        limbo, thread = listed
        post.fill(start_new_thread, thread._bootstrap, limbo, thread)


def _listed(name: str, work: Callable[[], None]) -> tuple[dict[Any, Any], Any] | None:
    """Give threading's book of threads that are about to be, and a thread for it, so that it is listed by its name.

    None where threading may have been patched, or has changed: then the thread is in none of its lists.
    """
    if "gevent.monkey" in sys.modules or "eventlet.patcher" in sys.modules:
        return None
    import threading

    limbo = getattr(threading, "_limbo", None)
    thread: Any = threading.Thread(target=work, name=name, daemon=True)
    if limbo is None or not hasattr(thread, "_bootstrap"):
        return None
    if hasattr(thread, "_context"):  # from 3.14 on: not the context of whoever happens to be the first to need it
        import contextvars

        thread._context = contextvars.Context()
    return limbo, thread


def leave_hub() -> None:
    """In a thread that is about to end: gevent leaves a loop behind in each in which it was used."""
    local = sys.modules.get("gevent._hub_local")
    hub = None if local is None else local.get_hub_if_exists()
    if hub is not None:
        hub.destroy(destroy_loop=True)
