"""The holder of a connection: a thread, a greenlet or a task, described at the checkout."""

from __future__ import annotations

import weakref

from .._core.compat import listed_thread_of
from .._light.hints import Any
from .stats import LeaseInfo


def lease_info(
    slot: int,
    server: Any,
    ident: int | None,
    greenlet: Any = None,
    task: Any = None,
    depth: int = 1,
    age_s: float = 0.0,
) -> LeaseInfo:
    """A lease, of what the core knows of its holder.

    ``ident`` is its thread's, None if that has ended; ``greenlet`` and ``task`` are the objects or weak
    references to them, None for neither.
    """
    greenlet, task = _weak(greenlet), _weak(task)
    owner, thread = _owner(ident, greenlet, task), thread_name(ident)
    ended = ident is None or _is_over(greenlet, "dead") or _is_over(task, "done")
    return LeaseInfo(slot, server, owner, thread, depth, age_s, ended, ident, greenlet, task)


def info_of(row: tuple[Any, ...], now: float) -> LeaseInfo:
    """The holder that one of the core's rows describes."""
    slot, server, ident, green, task, depth, since, *_ = row
    return lease_info(slot, server, ident, green, task, depth, max(now - since / 1e9, 0.0))


def thread_name(ident: int | None) -> str:
    """The name of the thread with this ident, as far as ``threading`` knows it."""
    if ident is None:
        return "a thread that has ended"
    thread = listed_thread_of(ident)
    return f"thread {ident}" if thread is None else str(thread.name)


def _weak(thing: Any) -> weakref.ref[Any] | None:
    return thing if thing is None or isinstance(thing, weakref.ref) else weakref.ref(thing)


def _is_over(reference: weakref.ref[Any] | None, asked: str) -> bool:
    """Whether a greenlet is ``dead``, a task ``done()``, or either of them gone."""
    if reference is None:
        return False
    said = getattr(reference(), asked, True)
    return bool(said() if callable(said) else said)


def _owner(ident: int | None, greenlet: weakref.ref[Any] | None, task: weakref.ref[Any] | None) -> str:
    parts = [thread_name(ident) if ident is None else f"thread {thread_name(ident)!r}"]
    if greenlet is not None:
        one = greenlet()
        # gevent numbers and names its greenlets; a bare one has an address at best
        name = getattr(one, "name", None) or (f"at {id(one):#x}" if one is not None else "that is gone")
        parts.insert(0, f"greenlet {name}")
    if task is not None:
        one = task()
        parts.insert(0, f"task {one.get_name()!r}" if one is not None else "task that is gone")
    return " in ".join(parts)
