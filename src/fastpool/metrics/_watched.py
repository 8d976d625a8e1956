"""The pools that an exporter reports, by name, held weakly."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .._core import Cell

if TYPE_CHECKING:
    from .._telemetry.stats import Stats

_Pools = Mapping[str, "weakref.ref[Any]"]


class Watched:
    """Pools by name. A name belongs to one pool that is open: two would be one series with two values.

    There is no lock: a signal handler or a finalizer may add and discard pools in the middle of a scrape.
    """

    def __init__(self) -> None:
        nothing: _Pools = {}
        self._pools = Cell(nothing)  # never changed, only replaced
        self._reporter: Cell[object] = Cell(None)  # set by the caller that began to report them

    def add(self, pool: Any) -> None:
        """Watch this pool; ValueError if another open one has its name. A pool may be added more than once."""
        name, mine = pool.name, weakref.ref(pool)

        def with_it(pools: _Pools) -> _Pools:
            ref = pools.get(name)
            known = None if ref is None else ref()
            if known is pool:
                return pools
            if known is not None and not known.closed:
                raise ValueError(
                    f"two open pools are called {name!r}; give each a name of its own with name=, "
                    "so that their numbers can be told apart"
                )
            return {**pools, name: mine}

        self._change(with_it)

    def discard(self, pool: Any) -> None:
        """Stop watching this pool."""
        self._leave(pool)

    def stats(self) -> Iterator[tuple[Any, Stats]]:
        """Each pool that still exists, with its present numbers."""
        gone = False
        for ref in self._pools.value.values():
            pool = ref()
            if pool is None:
                gone = True
            else:
                yield pool, pool.stats()
        if gone:
            self._leave(None)

    def report(self, begin: Callable[[], object]) -> None:
        """Call ``begin``, which registers these pools with a library, unless that is done or under way."""
        me = object()
        try:
            if self._reporter.replace(None, me):
                begin()
        except BaseException:
            self._reporter.replace(me, None)
            raise

    def _leave(self, leaver: Any) -> None:
        """Stop watching ``leaver``; None: the pools that are gone."""
        self._change(lambda pools: {name: ref for name, ref in pools.items() if ref() is not leaver})

    def _change(self, change: Callable[[_Pools], _Pools]) -> None:
        while True:
            old = self._pools.value
            if self._pools.replace(old, change(old)):
                return
