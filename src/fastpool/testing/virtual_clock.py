"""A clock that is moved by the test: lifetimes, back-off and keep-alive, tested in no time.

::

    with VirtualClock() as clock:
        pool = fastpool.Pool(connect, max_lifetime=3600)
        with pool.connection():
            pass
        clock.advance(3600)  # an hour later; the keeper has done what is due by then
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Self

from .._core import Cell, clock, clock_is_stopped, clock_stop
from .._keeper.keeper import keeper

if TYPE_CHECKING:
    from types import TracebackType

_in_use: Cell[VirtualClock | None] = Cell(None)


class VirtualClock:
    """Inside its block, the clock of all pools in this process stands still, and is moved by :meth:`advance`.

    Make the pools inside the block: the clock begins at the real time and never goes back, but after the block it is
    the real one again, for which the times that were advanced to are in the future. Callers that wait for a connection
    notice an advanced clock within a few real milliseconds.
    """

    def __init__(self) -> None:
        self._now = 0.0

    def __enter__(self) -> Self:
        if not _in_use.replace(None, self):
            raise RuntimeError(
                "the clock is stopped already: there is one VirtualClock at a time for all pools of a process"
            )
        self._now = float(math.ceil(clock()))
        clock_stop(self._now)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        clock_stop(0)
        _in_use.replace(self, None)

    @property
    def now(self) -> float:
        """The time on the pools' clock, in seconds; only differences mean something."""
        return self._now

    def advance(self, seconds: float, patience: float = 10.0) -> None:
        """Let ``seconds`` pass, and wait until the keeper has done what is due by then.

        ``patience``: real seconds to wait for the keeper at most. TimeoutError if it takes longer: a driver hangs.
        ValueError for a time that would run backwards.
        """
        if not seconds >= 0:
            raise ValueError(f"seconds must be a number >= 0, not {seconds!r}")
        if not clock_is_stopped():
            raise RuntimeError("the clock runs: advance() works inside `with VirtualClock() as clock`")
        self._now += seconds
        clock_stop(self._now)
        self.settle(patience)

    def settle(self, patience: float = 10.0) -> None:
        """Wait until the keeper has done what is due now; as in :meth:`advance`."""
        deadline = time.monotonic() + patience
        keeper.wake()  # it may have begun to sleep while the clock still ran
        while not keeper.settled:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the keeper has not done what is due within {patience} s: does a driver hang?")
            time.sleep(0.0005)
