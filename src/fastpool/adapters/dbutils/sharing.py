"""Connections that several callers use at once: which one a caller joins, and when the last one leaves it."""

from __future__ import annotations

import math
from functools import total_ordering
from typing import Any, Protocol

from ..._config import Config
from ..._core import Cell, clock, deadline_after
from ..._errors import NoConnectionsAvailable
from .._flag import Flag

_GLANCE_S = 0.05  # how often a waiter looks by itself: a lease that ends in a `with` block of the core tells nobody


class Lender(Protocol):
    """The part of a pool that sharing needs."""

    config: Config

    def _exhausted(self, phase: str, waited: float, steps: list[Any] | None) -> NoConnectionsAvailable: ...

    def checkout(self, timeout: float | None) -> Any:
        """Give a connection."""

    def checkin(self, c: Any) -> None:
        """Take a connection back."""


@total_ordering
class SharedDBConnection:
    """A connection with the number of its users; those in no transaction and with few users are the lesser ones."""

    def __init__(self, con: Any) -> None:
        self.con = con
        self._users = Cell(1)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.con!r}, {self.shared} users>"

    def __lt__(self, other: SharedDBConnection) -> bool:
        return self._rank() < other._rank()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def shared(self) -> int:
        """The number of its users."""
        return self._users.value

    def share(self) -> None:
        """Add a user."""
        self._add(1)

    def unshare(self) -> None:
        """Remove a user."""
        self._add(-1)

    def try_share(self) -> bool:
        """Add a user, unless the last one has left."""
        while users := self._users.value:
            if self._users.replace(users, users + 1):
                return True
        return False

    def leave(self) -> bool:
        """Remove a user; whether it was the last one."""
        return self._add(-1) == 0

    def _add(self, number: int) -> int:
        while not self._users.replace(users := self._users.value, users + number):
            pass
        return users + number

    def _rank(self) -> tuple[bool, int]:
        return (self.con._transaction, self.shared)


class Sharing:
    """The shared connections of a pool, ``most`` at most.

    A caller joins the one with the fewest users when there are as many as may be, or when the pool is full. None is
    joined while it is in a transaction. The state is replaced as a whole: finalizers change it, too.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._state: Cell[tuple[tuple[SharedDBConnection, ...], int]] = Cell(((), 0))  # and how many are being opened
        self._waiters: Cell[tuple[Flag, ...]] = Cell(())

    @property
    def connections(self) -> list[SharedDBConnection]:
        """Those that may be joined, in the order in which they were opened."""
        return list(self._state.value[0])

    def join(self, pool: Lender, timeout: float | None) -> SharedDBConnection:
        """A connection to share, within ``timeout`` seconds; the pool's exhausted error if there is none."""
        began, deadline = clock(), deadline_after(timeout)
        flag = None
        try:
            while True:
                found = self._open(pool) or self._least_used(pool)
                if found is not None:
                    return found
                left = deadline - clock()
                if left <= 0:
                    raise pool._exhausted("wait", clock() - began, None)
                if flag is None:
                    flag = Flag()
                    self._add_waiter(flag)  # and look once more: what ended until now has not set it
                else:
                    flag.wait(min(left, _GLANCE_S))
                    flag.up = False
        finally:
            if flag is not None:
                self._remove_waiter(flag)

    def leave(self, pool: Lender, shared: SharedDBConnection) -> None:
        """End one caller's use; after the last one's the connection goes back to the pool."""
        try:
            if shared.leave():
                self._change(lambda known, opening: (tuple(one for one in known if one is not shared), opening))
                pool.checkin(shared.con)
        finally:
            self.changed()

    def forget(self) -> None:
        """Let nobody join any more; each connection goes back when its last user leaves."""
        self._change(lambda known, opening: ((), opening))
        self.changed()

    def changed(self) -> None:
        """Wake the waiters: a connection was returned, or a transaction has ended."""
        for flag in self._waiters.value:
            flag.set()

    # ---- its parts ---------------------------------------------------------------------------------------------------

    def _open(self, pool: Lender) -> SharedDBConnection | None:
        """Take another connection out of the pool; None if there may be no more, or the pool has none free."""
        while True:
            old = known, opening = self._state.value
            if len(known) + opening >= self.most:
                return None
            if self._state.replace(old, (known, opening + 1)):
                break
        taken: tuple[SharedDBConnection, ...] = ()
        try:
            taken = (SharedDBConnection(pool.checkout(0)),)
        except NoConnectionsAvailable:
            return None
        finally:
            self._change(lambda known, opening: (known + taken, opening - 1))
        return taken[0]

    def _least_used(self, pool: Lender) -> SharedDBConnection | None:
        """Join one; None if all are in transactions, or too old. The creator's error if it is dead, and stays so."""
        oldest = -math.inf if pool.config.max_lifetime is None else clock() - pool.config.max_lifetime
        while True:
            free = [one for one in self._state.value[0] if not one.con._transaction and one.con._born > oldest]
            if not free:
                return None
            found = min(free)
            if found.try_share():
                try:
                    if found.con._ping_check(reconnect=False) is False:
                        found.con._exchange(found.con._create())
                except BaseException:
                    self.leave(pool, found)
                    raise
                return found

    def _change(self, change: Any) -> None:
        while not self._state.replace(old := self._state.value, change(*old)):
            pass

    def _add_waiter(self, flag: Flag) -> None:
        while not self._waiters.replace(old := self._waiters.value, (*old, flag)):
            pass

    def _remove_waiter(self, flag: Flag) -> None:
        while not self._waiters.replace(old := self._waiters.value, tuple(one for one in old if one is not flag)):
            pass
