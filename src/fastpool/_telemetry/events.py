"""Telling listeners what happens in a pool. A listener may be slow, or raise; it cannot harm the caller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from .._light.calls import is_coroutine_function
from .._light.hints import Any
from .._light.log import logger

EVENTS = (
    "pool_opened",
    "pool_cleared",
    "pool_closed",
    "connect_started",
    "connected",
    "connect_failed",
    "closed_connection",
    "checkout_started",
    "checkout_failed",
    "checked_out",
    "checked_in",
    "wait_started",
    "leak_suspected",
    "server_down",
    "server_up",
)


class Event:
    """Something that happened in a pool. The attributes that do not apply to it are None.

    ``pool`` is the pool, ``name`` the event's name, ``time`` when it happened (seconds since the epoch, as
    ``time.time()``), ``server`` the address, ``connection`` the connection, ``reason`` why (as in ``Stats.closed``),
    ``error`` the exception, ``waited`` and ``duration`` seconds.
    """

    __slots__ = ("connection", "duration", "error", "name", "pool", "reason", "server", "time", "waited")

    def __init__(
        self,
        pool: Any,
        name: str,
        *,
        server: Any = None,
        connection: Any = None,
        reason: str | None = None,
        error: BaseException | None = None,
        waited: float | None = None,
        duration: float | None = None,
    ) -> None:
        self.pool = pool
        self.name = name
        self.time = time.time()
        self.server = server
        self.connection = connection
        self.reason = reason
        self.error = error
        self.waited = waited
        self.duration = duration

    def __repr__(self) -> str:
        parts = [self.name, repr(getattr(self.pool, "name", self.pool))]
        for field in ("server", "connection", "reason", "error", "waited", "duration"):
            value = getattr(self, field)
            if value is not None:
                parts.append(f"{field}={value:.6f}" if isinstance(value, float) else f"{field}={value!r}")
        return f"<fastpool.Event {' '.join(parts)}>"


Event.__module__ = "fastpool"


class Listeners:
    """Which listener is told of which event, sorted once, so that an event without listeners costs one look-up.

    ``listeners`` are objects with methods named as in :data:`EVENTS`, or dicts of such names to callables. TypeError
    for an object with none of them, an unknown name in a dict, or something that cannot be called.
    """

    __slots__ = ("_by_name",)

    def __init__(self, listeners: Iterable[Any] = ()) -> None:
        by_name: dict[str, list[Callable[[Event], object]]] = {}
        for listener in listeners:
            for name, call in calls_of(listener).items():
                by_name.setdefault(name, []).append(call)
        self._by_name = {name: tuple(calls) for name, calls in by_name.items()}

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def __repr__(self) -> str:
        return f"<Listeners {', '.join(self._by_name) or 'none'}>"

    def hears(self, name: str) -> bool:
        """Whether any listener is told of this event."""
        return name in self._by_name

    def tell(self, pool: Any, name: str, **fields: Any) -> None:
        """Tell the listeners of the event ``name``, in the order given; if one raises, that is logged."""
        calls = self._by_name.get(name)
        if calls is None:
            return
        event = Event(pool, name, **fields)
        for call in calls:
            try:
                call(event)
            except Exception:
                _log_failure(call, event)


def calls_of(listener: Any) -> dict[str, Callable[[Event], object]]:
    """The callables of one listener, by event; TypeError if it is none."""
    found: dict[str, Any]
    if isinstance(listener, Mapping):
        found = dict(listener)
        for name in found:
            if name not in EVENTS:
                raise TypeError(f"listeners: there is no event {name!r}; the events are {', '.join(EVENTS)}")
    else:
        found = {name: getattr(listener, name) for name in EVENTS if hasattr(listener, name)}
    if not found:
        raise TypeError(f"listeners: {listener!r} listens to nothing; give it one of {', '.join(EVENTS)}")
    for name, call in found.items():
        if not callable(call):
            raise TypeError(f"listeners: {name} of {listener!r} cannot be called: {call!r}")
        if is_coroutine_function(call):
            raise TypeError(f"listeners: {name} of {listener!r} is a coroutine function, and would not be awaited")
    return found


def _log_failure(call: Any, event: Event) -> None:
    # The callable's name and not its repr, which is the user's code, too, and might raise as well.
    what = getattr(call, "__qualname__", type(call).__qualname__)
    name = getattr(event.pool, "name", event.pool)
    logger.exception("listener %s of pool %r failed on %s", what, name, event.name)
