"""The pools that an exporter reports: told apart by name, and not kept alive by being watched."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._stats import Stats


class Watched:
    """Pools by name. A name belongs to one pool that is open: two would be one series with two values."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[str, weakref.ref[Any]] = {}

    def add(self, pool: Any) -> None:
        """Watch this pool; ValueError if another open one has its name. Again is harmless."""
        name = pool.name
        with self._lock:
            ref = self._pools.get(name)
            known = None if ref is None else ref()
            if known is not None and known is not pool and not known.closed:
                raise ValueError(
                    f"two open pools are called {name!r}; give each a name of its own with name=, "
                    "so that their numbers can be told apart"
                )
            self._pools[name] = weakref.ref(pool)

    def discard(self, pool: Any) -> None:
        """Watch it no more."""
        name = pool.name
        with self._lock:
            ref = self._pools.get(name)
            if ref is not None and ref() is pool:
                del self._pools[name]

    def stats(self) -> Iterator[tuple[Any, Stats]]:
        """Each pool that still exists, with its numbers of now."""
        with self._lock:
            refs = list(self._pools.items())
        for name, ref in refs:
            pool = ref()
            if pool is not None:
                yield pool, pool.stats()
            else:
                with self._lock:
                    if self._pools.get(name) is ref:
                        del self._pools[name]
