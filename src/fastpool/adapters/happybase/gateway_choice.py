"""Which gateway a checkout asks, in which order, and for how long: without I/O, for threads and tasks alike."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..._connecting.without_traceback import without_traceback
from ..._core import clock
from ..._errors import AllServersUnavailable, NoConnectionsAvailable, PoolClosed, PoolDeadlock
from ..._servers import server_text
from ..._telemetry.stats import error_text

if TYPE_CHECKING:
    from ..._pool import Pool
    from ..._servers import Server

# The gateway that has the row is waited for so many seconds; then any other will do.
PATIENCE_S = 0.05
# A gateway that has room, but no open connection, has so many seconds to accept one, while others may have one.
CONNECT_S = 0.25

Choice = Generator[tuple[int, float], BaseException, None]
"""Yields the number of a gateway and the seconds that it has; is sent the error where it gave no connection."""


class Tries:
    """The tries of one checkout.

    ``pools``: of each gateway. ``preferred``: the gateways on the host that has the row. ``held``: those of which the
    caller has a connection already, which a nested block shares. ``in_order(numbers)`` sorts the others. ``deadline``:
    when the checkout must be over; ``waited``: how many seconds it has waited until now. ``out_of_time(waited,
    refusal)`` makes the error of a checkout whose time is over.
    """

    def __init__(
        self,
        gateways: Sequence[Server],
        pools: Sequence[Pool[Any]],
        preferred: tuple[int, ...],
        held: Sequence[int],
        in_order: Callable[[list[int]], list[int]],
        deadline: float,
        waited: float,
        out_of_time: Callable[[float, BaseException | None], BaseException],
    ) -> None:
        self._gateways = gateways
        self._pools = pools
        self._preferred = preferred
        self._held = held
        self._in_order = in_order
        self._deadline = deadline
        self._choice: Choice | None = None
        self._began = clock() - waited
        self._out_of_time = out_of_time
        self._refusals: dict[int, BaseException] = {}
        self._deadlocks: dict[int, BaseException] = {}  # where the caller itself has all that there is

    def first(self) -> tuple[int, float]:
        """The gateway to ask first, and the seconds that it has."""
        if len(self._preferred) == 1 and not self._held:
            return self._preferred[0], self._patience()
        self._choice = self._choose()
        return next(self._choice)

    def after(self, error: Exception) -> tuple[int, float]:
        """The gateway to ask after the last one gave no connection, but ``error``.

        Raises AllServersUnavailable if each of them refused, NoConnectionsAvailable if the time is over, or PoolClosed.
        """
        if self._choice is None:
            self._choice = self._choose()
            next(self._choice)  # what first() gave
        return self._choice.send(error)

    def _choose(self) -> Choice:
        preferred = self._in_order([n for n in self._preferred if n not in self._held])
        own = [n for n in self._preferred if n in self._held] + preferred
        for number in own[:1]:
            yield from self._try(number, self._patience())
        while True:
            yield from self._those_with_room(own)
            busy = self._busy(own)
            if self._left() <= 0:
                raise self._out_of_time(self._waited(), next(reversed(self._refusals.values()), None))
            # Longer each time: a caller that left the line again and again would never get to its head.
            yield from self._try(busy[0], max(PATIENCE_S, self._waited() / 2))

    def _busy(self, own: list[int]) -> list[int]:
        """The gateways worth waiting for, the preferred ones first; raises if there are none."""
        busy = [number for number in range(len(self._pools)) if number not in self._refusals]
        if not busy:
            raise all_refuse(self._gateways, self._refusals)
        able = [number for number in busy if number not in self._deadlocks]
        if not able:
            raise next(reversed(self._deadlocks.values()))
        return [number for number in own if number in able] or self._in_order(able)

    def _those_with_room(self, own: list[int]) -> Choice:
        """Any gateway with a connection that is free now, or room for one: the caller's own first, then by load."""
        rest = [n for n in range(len(self._pools)) if n not in own and n not in self._held]
        held = [n for n in self._held if n not in own]
        for number in [*held, *own, *self._in_order(rest)]:
            if number in self._held or has_room(self._pools[number]):
                yield from self._try(number, CONNECT_S)

    def _try(self, number: int, seconds: float) -> Choice:
        self._refusals.pop(number, None)
        error = yield number, min(seconds, self._left())
        if isinstance(error, PoolClosed):
            raise error
        if isinstance(error, PoolDeadlock):
            self._deadlocks[number] = error
        elif not isinstance(error, NoConnectionsAvailable):
            # A copy: the error's traceback refers to the frame that refers to this.
            self._refusals[number] = without_traceback(error)

    def _patience(self) -> float:
        return max(min(PATIENCE_S - self._waited(), self._left()), 0.0)

    def _left(self) -> float:
        return max(self._deadline - clock(), 0.0)

    def _waited(self) -> float:
        return clock() - self._began


def all_refuse(gateways: Sequence[Server], errors: Mapping[int, BaseException]) -> AllServersUnavailable:
    """The error of a checkout that every gateway refused; ``errors``: of each, in the order in which they came."""
    lines = [f"none of {len(gateways)} gateways gave a connection"]
    lines += [f"  {server_text(gateways[number])} failed: {error_text(error)}" for number, error in errors.items()]
    failure = AllServersUnavailable("\n".join(lines))
    failure.__cause__ = list(errors.values())[-1]
    return failure


def has_room(pool: Pool[Any]) -> bool:
    """Whether a gateway has a connection that is free now, or room for one more, and nobody in line for it."""
    idle, leased, connecting, waiting, *_ = pool._counts()
    config = pool.config
    if waiting:
        return False
    if idle or config.max_overflow < 0:
        return True
    return leased + connecting < config.max_size + config.max_overflow
