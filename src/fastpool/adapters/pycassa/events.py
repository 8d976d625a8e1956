"""pycassa's events: their listeners, and the dict passed with each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..._light.log import logger

EVENTS = (
    "connection_created",
    "connection_checked_out",
    "connection_checked_in",
    "connection_disposed",
    "connection_recycled",
    "connection_failed",
    "server_list_obtained",
    "pool_disposed",
    "pool_at_max",
)
# pycassa documents the first name, but calls the second. Here both are called.
SERVER_LIST = ("server_list_obtained", "obtained_server_list")
METHODS = (*EVENTS, SERVER_LIST[1])


class PoolListener:
    """A listener of a pool; subclass it, or write any class with some of these methods, or a dict of such functions.

    Each is called with one dict. It has ``pool_id`` (the pool's ``logging_name``) and ``level`` (``debug``, ``info``,
    ``warn``, ``error`` or ``critical``), and the keys that the method names.
    """

    def connection_created(self, dic: dict[str, Any]) -> None:
        """A connection was opened: ``connection``."""

    def connection_checked_out(self, dic: dict[str, Any]) -> None:
        """A caller got a connection, or a new one for a retry: ``connection``."""

    def connection_checked_in(self, dic: dict[str, Any]) -> None:
        """A connection came back to the pool: ``connection``."""

    def connection_disposed(self, dic: dict[str, Any]) -> None:
        """The pool closed a connection: ``connection``, and ``message``, which says why."""

    def connection_recycled(self, dic: dict[str, Any]) -> None:
        """A connection was replaced after ``recycle`` operations: ``old_conn`` and ``new_conn``."""

    def connection_failed(self, dic: dict[str, Any]) -> None:
        """An operation, or a connect (``connection`` is None), failed: ``error``, ``server`` and ``connection``.

        ``connection.info["request"]`` has ``method``, ``args`` and ``kwargs`` of the operation.
        """

    def server_list_obtained(self, dic: dict[str, Any]) -> None:
        """The pool has its servers: ``server_list``, in the order in which they are asked."""

    def pool_disposed(self, dic: dict[str, Any]) -> None:
        """``dispose()`` was called."""

    def pool_at_max(self, dic: dict[str, Any]) -> None:
        """A caller got no connection in time: ``pool_max``, the most connections that may be open."""


class Events:
    """Calls the listeners. An exception of one is logged, and affects neither the caller nor other listeners."""

    def __init__(self) -> None:
        self.listeners: list[Any] = []
        self._calls: dict[str, tuple[Callable[[dict[str, Any]], object], ...]] = {}

    def add(self, listener: Any) -> None:
        """Add a listener; TypeError for one without any of the methods, or a dict with other keys or values."""
        for name, call in _calls(listener).items():
            self._calls[name] = (*self._calls.get(name, ()), call)
        self.listeners.append(listener)

    def hears_besides_first(self, names: Iterable[str]) -> bool:
        """Whether any listener but the first listens to one of these."""
        return any(len(self._calls.get(name, ())) > 1 for name in names)

    def tell(self, pool_id: Any, name: str, level: str, **fields: Any) -> None:
        """Call the listeners of the event ``name``."""
        calls = self._calls.get(name)
        if calls is None:
            return
        dic = {"pool_id": pool_id, "level": level, **fields}
        for call in calls:
            try:
                call(dic)
            except Exception:
                what = getattr(call, "__qualname__", type(call).__qualname__)
                logger.exception("listener %s of pool %s failed on %s", what, pool_id, name)


def _calls(listener: Any) -> dict[str, Callable[[dict[str, Any]], object]]:
    """The listener's functions by event."""
    if isinstance(listener, dict):
        for name, call in listener.items():
            if name not in METHODS:
                raise TypeError(f"{name!r}: unknown in this interface; the events are {', '.join(METHODS)}")
            if not callable(call):
                raise TypeError(f"{name!r}={call!r} is not callable")
        found = dict(listener)
    else:
        found = {name: getattr(listener, name) for name in METHODS if callable(getattr(listener, name, None))}
    if not found:
        raise TypeError(f"{listener!r} does not implement any of: {', '.join(METHODS)}")
    documented, dispatched = (found.get(name) for name in SERVER_LIST)
    if documented is not None and documented == dispatched:
        del found[SERVER_LIST[1]]  # one method under both names is called once
    return found
