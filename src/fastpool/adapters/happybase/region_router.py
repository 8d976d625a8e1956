"""The way to a row: which gateways are beside it, and a connection of one of them, or else of any other."""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

import itertools
import random
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from happybase.util import ensure_bytes

from ..._connecting.behind import do_behind
from ..._core import clock
from ..._core.greenlets import pause
from ..._errors import NoConnectionsAvailable, PoolClosed
from ..._servers import normalise_server
from .gateway_choice import Tries, has_room
from .regions import Regions

if TYPE_CHECKING:
    from .joined_pool import JoinedPool
    from .pool import ConnectionPool
    from .region_lease import Permit, Wanted

# A gateway has so many seconds to say where a table's regions are, then another one is asked.
LOOK_S = 2.0
# The first caller of a table waits at most so many seconds for that, and for at most half of the time that it has.
FIRST_LOOK_S = 5.0
# The caller that has a look made that is due waits at most so many seconds for it.
NEXT_LOOK_S = 0.25


class Router:
    """Finds connections for the callers of one pool."""

    def __init__(self, pool: JoinedPool) -> None:
        driver = pool.driver
        self._pool = weakref.ref(pool)  # or a pool that is dropped would end no sooner than the next garbage collection
        self._gateways = pool.gateways
        self._pools = pool.pools
        self._balance = pool.config.balance
        self._turns = itertools.count()
        mine = weakref.ref(self)
        self.regions = Regions(
            pool.gateways, driver.refresh, lambda table: _alive(mine)._ask(table), lambda job: _alive(mine)._do(job)
        )
        text = driver.connection_kwargs.get("table_prefix")
        separator = driver.connection_kwargs.get("table_prefix_separator", b"_")
        self._prefix = None if text is None else ensure_bytes(text), ensure_bytes(separator)

    # ---- the gateways beside a row -----------------------------------------------------------------------------

    def whole_name(self, table: bytes, prefix: Any) -> bytes:
        """The name that HBase knows a table by, with ``prefix``, or without one with the pool's."""
        text, separator = prefix.over(self._prefix)
        return table if text is None else text + separator + table

    def beside(self, wanted: Wanted, prefix: Any, deadline: float) -> tuple[int, ...]:
        """The gateways on the host that has the row; none if that is not known in time, or no row is wanted."""
        if wanted.table is None or wanted.row is None or len(self._pools) == 1:
            return ()
        return self.find(self.whole_name(wanted.table, prefix), wanted.row, deadline)

    def find(self, table: bytes, row: bytes, deadline: float, patient: bool = False) -> tuple[int, ...]:
        """The gateways on the host that has the row; ``patient``: as of now, not as of the last look."""
        for nap in self._naps(table, deadline, patient):
            pause(nap)
        return self._known(table, row)

    async def abeside(self, wanted: Wanted, prefix: Any, deadline: float) -> tuple[int, ...]:
        """The gateways beside a row, for a task."""
        if wanted.table is None or wanted.row is None or len(self._pools) == 1:
            return ()
        from asyncio import sleep

        table = self.whole_name(wanted.table, prefix)
        for nap in self._naps(table, deadline, False):
            await sleep(nap)
        return self._known(table, wanted.row)

    def _known(self, table: bytes, row: bytes) -> tuple[int, ...]:
        known = self.regions.known(table)
        return () if known is None else known.find(row)

    def _naps(self, table: bytes, deadline: float, patient: bool) -> Iterator[float]:
        """The naps of a caller that waits for a look at a table; none where what is known holds.

        The first caller of a table waits for that. When it is due again, only the caller that has it made waits; all
        callers do after an error that says that a region has moved. But not for long: nobody may answer.
        """
        known = self.regions.known(table)
        if known is not None and not known.is_due:
            return
        first = self.regions.look(table)
        if not (known is None or known.doubted or first or patient):
            return
        now = clock()
        until = now + min(FIRST_LOOK_S if known is None or patient else NEXT_LOOK_S, max(deadline - now, 0.0) / 2)
        nap = 0.0005
        while self.regions.known(table) is known and (left := until - clock()) > 0:
            yield min(nap, left)
            nap = min(nap * 1.5, 0.01)

    # ---- a connection ------------------------------------------------------------------------------------------

    def tries(self, preferred: tuple[int, ...], permit: Permit, deadline: float, waited: float) -> Tries:
        """The gateways to ask for a connection, in order; ``waited``: the seconds that the caller stood in line."""
        return Tries(
            self._gateways, self._pools, preferred, permit.held, self._in_order, deadline, waited, self._out_of_time
        )

    def route(self, tries: Tries, get: Callable[[ConnectionPool, float], Any]) -> tuple[int, Any]:
        """Ask gateways until one gives a connection; its number, and what ``get`` gave."""
        number, seconds = tries.first()
        while True:
            try:
                return number, get(self._pools[number], seconds)
            except Exception as error:
                refusal = error
            number, seconds = tries.after(refusal)
            del refusal

    async def aroute(self, tries: Tries) -> tuple[int, Any]:
        """Ask gateways until one gives a task a connection; its number, and the lease, which is entered."""
        number, seconds = tries.first()
        while True:
            lease = self._pools[number].aconnection(seconds)
            try:
                await lease.__aenter__()
                return number, lease
            except Exception as error:
                refusal = error
            number, seconds = tries.after(refusal)
            del refusal

    def note(self, connection: Any) -> Any:
        """Have errors of the calls on a connection looked at for news of regions; the connection."""
        connection.on_error = self.regions.heard
        return connection

    def _out_of_time(self, waited: float, refusal: BaseException | None) -> BaseException:
        pool = self._pool()
        return NoConnectionsAvailable() if pool is None else pool._out_of_time(waited, refusal)

    def _in_order(self, numbers: list[int]) -> list[int]:
        """The gateways in the order of ``balance``."""
        if len(numbers) < 2:
            return numbers
        turn, every = next(self._turns), len(self._pools)
        numbers = sorted(numbers, key=lambda number: (number - turn) % every)
        if self._balance == "round_robin":
            return numbers
        if self._balance == "random":
            return random.sample(numbers, len(numbers))
        leased = {number: self._pools[number]._counts()[1] for number in numbers}
        by_load = sorted(numbers, key=lambda number: leased[number])
        if callable(self._balance):
            gateways = {self._gateways[number]: number for number in numbers}
            chosen = normalise_server(
                self._balance(tuple(gateways), {gateway: leased[number] for gateway, number in gateways.items()})
            )
            if chosen not in gateways:
                raise ValueError(
                    f"balance chose {chosen!r}, which is none of the gateways it was given: {[*gateways]!r}"
                )
            by_load.sort(key=lambda number: number != gateways[chosen])
        return by_load

    # ---- looking where the regions are -------------------------------------------------------------------------

    def _ask(self, table: bytes) -> list[Any]:
        """HBase's list of a table's regions, from the first gateway that has it; raises if none has."""
        failure: Exception | None = None
        numbers = self._in_order(list(range(len(self._pools))))
        for number in sorted(numbers, key=lambda number: not has_room(self._pools[number])):
            try:
                with self._pools[number].connection(LOOK_S) as connection:
                    connection.on_error = None  # or an answer that says "moved" would be asked for again at once
                    found: list[Any] = connection.client.regions(table, LOOK_S)
                    return found
            except PoolClosed:
                raise
            except Exception as error:
                failure = error
        assert failure is not None
        raise failure

    def _do(self, job: Callable[[], None]) -> None:
        pool = self._pool()
        if pool is not None:
            pool._leases()  # in a forked child this makes the pool begin afresh: its staff is the parent's
            do_behind(pool, job)


def _alive(ref: weakref.ref[Router]) -> Router:
    router = ref()
    if router is None:
        raise PoolClosed("the pool is gone")
    return router
