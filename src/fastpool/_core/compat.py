"""Private structures of other projects that Python code uses. docs/compat.md lists them, and those of the core.

Each function here gives the answer in a public way where the private one is missing.
"""

from __future__ import annotations

import sys

from .._light.hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

without: set[str] = set()  # what this process must do without: the core's do_without() fills it


def lacks(name: str) -> bool:
    """Whether this process must do without that one."""
    return name in without


def way_to_gevents_hub() -> Callable[[], Any]:
    """Give what gives the gevent hub of the calling thread, or None where it has none."""
    if not lacks("gevent's hub"):
        try:
            from gevent._hub_local import get_hub_if_exists
        except ImportError:
            pass
        else:
            return get_hub_if_exists  # type: ignore[no-any-return]
    from gevent import get_hub

    return get_hub  # type: ignore[no-any-return] # in a thread that has none it makes one: dearer, and as right


def gevents_hub() -> Any:
    """Give the gevent hub of the calling thread, or None where it has none."""
    return way_to_gevents_hub()() if "gevent.hub" in sys.modules else None


def eventlets_hub() -> Any:
    """Give the eventlet hub of the calling thread, or None where it has none."""
    hubs = sys.modules.get("eventlet.hubs")
    if hubs is None:
        return None
    local = None if lacks("eventlet's hub") else getattr(hubs, "_threadlocal", None)
    if local is None:
        return hubs.get_hub()  # in a thread that has none it makes one: dearer, and as right
    return getattr(local, "hub", None)


def eventlets_end(greenlet: Any) -> Any:
    """Give the event of the end of a greenlet of eventlet's, or None if there is none."""
    return None if lacks("eventlet's end") else getattr(greenlet, "_exit_event", None)


def listed_thread(name: str, work: Callable[[], None]) -> tuple[Callable[[], None], dict[Any, Any], Any, Any] | None:
    """The function to start a thread with, threading's dictionary of starting threads, a Thread for it, and its handle.

    So the thread is listed by its name, and can be joined. The handle, which knows whether the thread has ended, is
    None before 3.13. All is None where threading has changed: then the thread is in none of its lists.
    """
    import threading

    limbo = getattr(threading, "_limbo", None)
    thread: Any = threading.Thread(target=work, name=name, daemon=True)
    handle = getattr(thread, "_os_thread_handle", getattr(thread, "_handle", None))  # by its names of 3.14 and 3.13
    if lacks("start of threads") or not hasattr(thread, "_bootstrap") or not isinstance(limbo, dict):
        return None
    if (handle is None) is not (sys.version_info < (3, 13)):
        return None
    if hasattr(thread, "_context"):  # from 3.14 on: not the context of the first caller
        import contextvars

        thread._context = contextvars.Context()
    return thread._bootstrap, limbo, thread, handle


def listed_thread_of(ident: int) -> Any:
    """Give the thread with this ident, or None if threading knows none."""
    import threading

    # Rather not enumerate(): a signal handler that raises can leave its lock taken (3.14), and no thread starts again.
    active = None if lacks("table of threads") else getattr(threading, "_active", None)
    if isinstance(active, dict):
        return active.get(ident)
    threads: list[Any] = getattr(threading, "enumerate", list)()  # it may be half imported: a handler's strike
    return next((one for one in threads if one.ident == ident), None)


def private_of_python() -> set[str]:
    """The private structures that the functions of this module use in this process, as private_in_use() for the core's.

    Those of eventlet only once it was imported.
    """
    hubs, green = sys.modules.get("eventlet.hubs"), sys.modules.get("eventlet.greenthread")
    threading = sys.modules.get("threading")
    used = {
        "eventlet's hub": getattr(hubs, "_threadlocal", None) is not None,
        "eventlet's end": hasattr(getattr(getattr(green, "GreenThread", None), "__init__", None), "__code__")
        and "_exit_event" in green.GreenThread.__init__.__code__.co_names,  # type: ignore[union-attr]
        "start of threads": hasattr(getattr(threading, "Thread", None), "_bootstrap")
        and isinstance(getattr(threading, "_limbo", None), dict),
        "table of threads": isinstance(getattr(threading, "_active", None), dict),
    }
    return {name for name, is_used in used.items() if is_used and not lacks(name)}
