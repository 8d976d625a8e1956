"""A model of a pool without a keeper, used by one thread: plain lists and comparisons, no slots.

Where the interface does not say which idle connection is closed (a pool that shrinks), the model says how many, and the
test tells it which. Times are whole seconds of the virtual clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


class Exhausted(Exception):
    """No connection is free, and the pool is full."""


class Refused(Exception):
    """The connect failed."""


class Closed(Exception):
    """The pool is closed."""


@dataclass(eq=False)
class Conn:
    """A connection as the pool sees it; `real` is the driver's."""

    born: float
    since: float  # idle since
    real: Any = None
    uses: int = 0
    depth: int = 0
    dead: bool = False  # its server has hung up, which the pool has not noticed
    doubted: bool = False  # must be checked at the next checkout
    stale: bool = False
    tainted: bool = False
    warmed: int = 0  # opened by warm(), and not used since


@dataclass
class Options:
    max_size: int
    max_overflow: int = 0
    max_idle: int | None = None
    max_lifetime: int | None = None
    idle_timeout: int | None = None
    max_uses: int | None = None
    check_after: int | None = None
    nested: bool = False

    @property
    def limit(self) -> float:
        return float("inf") if self.max_overflow < 0 else self.max_size + self.max_overflow


@dataclass
class Model:
    """`checks`: the driver has check and reset, so that every checkout and checkin takes the slow path."""

    options: Options
    checks: bool
    now: float
    idle: list[Conn] = field(default_factory=list)  # the last one returned is at the end
    leased: list[Conn] = field(default_factory=list)
    last: Conn | None = None  # what this thread took or returned last
    closed: bool = False
    server_up: bool = True
    resets: bool = True  # whether reset succeeds
    totals: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def size(self) -> int:
        return len(self.idle) + len(self.leased)

    # ---- checkout

    def next_idle(self) -> list[Conn]:
        """The idle connections that may be next."""
        if not self.idle:
            return []
        if self.last in self.idle:
            return [self.last]
        # The thread's own last slot may have been filled by warm() since.
        return [self.idle[-1], *(c for c in self.idle if c.warmed)]

    def check_out(self, chosen: Conn | None) -> Conn:
        """`chosen`: the connection that was taken, of those that may be next."""
        if self.closed:
            raise Closed
        if chosen is not None:
            why = self.unfit(chosen)
            self.idle.remove(chosen)
            if why is None:
                return self.lease(chosen)
            self.end(chosen, why)
            if why == "dead":
                for c in [*self.idle, *self.leased]:
                    c.doubted = True
            if self.size >= self.options.limit:
                return self.check_out(self.next_idle()[0] if self.idle else None)
        if self.size >= self.options.limit:
            self.totals["timeouts"] += 1
            raise Exhausted
        return self.lease(self.connect())

    def connect(self) -> Conn:
        if not self.server_up:
            self.totals["connect_errors"] += 1
            raise Refused
        self.totals["connects"] += 1
        return Conn(born=self.now, since=self.now)

    def lease(self, c: Conn) -> Conn:
        c.uses += 1
        c.depth = 1
        c.warmed = 0
        self.leased.append(c)
        self.last = c
        self.totals["checkouts"] += 1
        return c

    def unfit(self, c: Conn) -> str | None:
        o = self.options
        if o.max_lifetime is not None and c.born + o.max_lifetime <= self.now:
            return "lifetime"
        if o.idle_timeout is not None and c.since + o.idle_timeout <= self.now:
            return "idle"
        if self.checks and o.check_after is not None and (c.doubted or c.since + o.check_after <= self.now):
            return "dead" if c.dead else None
        return None

    # ---- checkin

    def check_in(self, c: Conn, *, discard: bool = False, broken: bool = False, failed: bool = False) -> None:
        """`broken`: the block ended with an error after which the connection cannot be used."""
        why = self.judge(c, discard, broken, failed)
        self.leased.remove(c)
        self.last = c
        self.totals["checkins"] += 1
        if why is not None:
            self.end(c, why)
            return
        c.since = self.now
        self.idle.append(c)

    def judge(self, c: Conn, discard: bool, broken: bool, failed: bool) -> str | None:
        o = self.options
        if discard:
            return "discarded"
        if self.closed:
            return "closed"
        if c.tainted or broken:
            return "error"
        if c.stale:
            return "cleared"
        if self.checks and not self.resets:
            return "error"
        if o.max_uses is not None and c.uses >= o.max_uses:
            return "max_uses"
        over_size = self.size > o.max_size
        fast = not (failed or self.checks or over_size or (o.max_idle is not None and self.size > o.max_idle))
        if not fast and o.max_lifetime is not None and c.born + o.max_lifetime <= self.now:
            return "lifetime"  # the fast checkin leaves that to the next checkout
        if over_size:
            return "resized" if self.size > o.limit else "overflow"
        if o.max_idle is not None and len(self.idle) >= o.max_idle:
            return "max_idle"
        return None

    def end(self, c: Conn, why: str) -> None:
        self.reasons[why] += 1

    # ---- other calls

    def clear(self) -> None:
        for c in self.idle:
            self.end(c, "cleared")
        self.idle.clear()
        for c in self.leased:
            c.stale = True

    def shrink_by(self) -> tuple[int, int]:
        """After a resize: the number of idle connections closed because of max_size, and because of max_idle."""
        o = self.options
        size = min(max(self.size - o.max_size, 0), len(self.idle))
        left = len(self.idle) - size
        return size, 0 if o.max_idle is None else max(left - o.max_idle, 0)

    def warm(self, n: int) -> None:
        while self.size < n:
            c = self.connect()
            c.warmed = 1
            self.idle.append(c)

    def close(self, drop: bool) -> list[Conn]:
        """Return the connections whose leases were ended by close."""
        self.closed = True
        for c in self.idle:
            self.end(c, "closed")
        self.idle.clear()
        dropped = list(self.leased) if drop else []
        for c in dropped:
            self.end(c, "closed")
            self.leased.remove(c)
            self.totals["checkins"] += 1
        return dropped
