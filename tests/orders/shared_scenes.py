"""Scenes with a shared page: pools of one name in one process, which the page cannot tell from several processes.

The clock stands still, so nothing is found by the watchers' regular looks: each wake-up has to come, except after a
death. No watcher's thread is started; where a scene has a watcher it is an actor.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import fastpool
from fastpool._core import SHARED_BITS
from fastpool._core import core as _core
from fastpool._shared.sharing import Share
from tests.orders.stage import Scene
from tests.pool.fake_driver import Plain, balanced

Parts = Sequence[Callable[[], Any]]
_GIVE_UP, _, _LEFT, _ASKED = SHARED_BITS
_numbers = itertools.count(1)
_native: Any = _core


def _unwatched(share: Share) -> None:
    """In place of `Share.start`."""


Share.start = _unwatched  # type: ignore[method-assign]


class OnPage(Scene):
    """Pools of one name; afterwards no permit is lost, and never were there more connections than permits."""

    cap = 1
    count = 2
    may_raise: tuple[type[BaseException], ...] = ()
    dead: ClassVar[tuple[int, ...]] = ()  # pools whose process is killed

    def set_up(self) -> Parts:
        name = f"orders-{next(_numbers)}"
        self.driver = Plain()
        self.driver.connecting.mode = self.count_open
        self.pools = [
            self.driver.pool(max_size=2, check_after=None, timeout=None, shared=name, shared_max=self.cap)
            for _ in range(self.count)
        ]
        self.pool, *self.others = self.pools
        self.members: list[Any] = [pool.member for pool in self.pools]
        self.most = 0
        return self.parts()

    def parts(self) -> Parts:
        raise NotImplementedError

    def count_open(self) -> None:
        self.most = max(self.most, 1 + len([c for c in self.driver.open if c.server not in self.dead]))

    def idle_in(self, pool: Any) -> None:
        pool.checkin(pool.checkout())

    def user(self, pool: Any, discard: bool = False, then: Sequence[int] = (), **lease: Any) -> Callable[[], Any]:
        """A part: a checkout and a checkin; afterwards the watchers of `then` end."""

        def use() -> None:
            try:
                c = pool.checkout(**lease)
                assert not c.closed, f"{c} had been closed when it was handed out"
                pool.checkin(c, discard=discard)
            finally:
                for number in then:
                    self.members[number].ask(self.members[number].number, 1)

        return use

    def watcher(self, number: int) -> Callable[[], Any]:
        """A part: the watcher of that pool, until `user` ends it."""

        def watch() -> None:
            what = 0
            while not what & (_LEFT | _ASKED):
                what = _native.steps_watch(self.members[number])
                if what & _GIVE_UP:
                    self.pools[number]._give_up_idle()

        return watch

    def judge(self, results: list[Any]) -> None:
        for result in results:
            if isinstance(result, BaseException):
                assert isinstance(result, self.may_raise), f"{result!r} in {results}"
        assert self.most <= self.cap, f"{self.most} connections, and {self.cap} permits"
        alive = [number for number in range(self.count) if number not in self.dead]
        for number in alive:
            stats = balanced(self.pools[number])
            assert self.members[number].holding == stats.size, f"pool {number + 1} has {stats.size} connections"
        for number in alive[1:]:
            self.pools[number].close()
        self.time_passes()()  # a member looks for the dead now and then
        _native.steps_reap(self.members[alive[0]])
        last = self.pools[alive[0]]
        if not last.closed:
            assert self.members[alive[0]].total == len(last), "permits are lost, or nobody's"
            out = [last.checkout(timeout=0) for _ in range(self.cap)]
            for c in out:
                last.checkin(c)
            last.close()
        assert self.members[alive[0]].total == 0, "permits are out, and all pools are closed"


class PermitsTakenAndGiven(OnPage):
    """Two members race for one permit, without pools."""

    def parts(self) -> Parts:
        return [lambda member=member: _native.steps_take_and_give(member) for member in self.members]


class TwoPoolsOnePermit(OnPage):
    """Two pools open and close a connection each; there is a permit for one."""

    may_raise = (fastpool.NoConnectionsAvailable,)

    def parts(self) -> Parts:
        return [self.user(pool, discard=True, timeout=0) for pool in self.pools]


class GiveAndWait(OnPage):
    """One pool closes its only connection at its return while the other waits for the permit."""

    def parts(self) -> Parts:
        c = self.pools[1].checkout()
        return [
            self.watcher(0),
            lambda: self.pools[1].checkin(c, discard=True),
            self.user(self.pools[0], then=(0,)),
        ]


class WaitForIdle(OnPage):
    """One pool has an idle connection, which its watcher closes for the other's waiter."""

    def parts(self) -> Parts:
        self.idle_in(self.pools[0])
        return [self.user(self.pools[1], then=(0, 1)), self.watcher(0), self.watcher(1)]


class LeaveAndWait(OnPage):
    """A pool with an idle connection is closed, and leaves the page, while the other waits."""

    def parts(self) -> Parts:
        self.idle_in(self.pools[1])
        return [self.pools[1].close, self.user(self.pools[0], then=(0,)), self.watcher(0)]


class DeathAndWait(OnPage):
    """A process that has a permit is killed while the other waits, whose watcher finds that out in time."""

    dead = (1,)
    moves = 2  # nobody wakes it: it looks now and then

    def parts(self) -> Parts:
        self.idle_in(self.pools[1])
        self.driver.made.clear()  # it ended with its process
        return [lambda: _native.steps_die(self.members[1]), self.user(self.pools[0], then=(0,)), self.watcher(0)]


class Dies(OnPage):
    """A process is killed before its n-th access to the page, while another takes a permit and a third clears it."""

    count = 3
    cap = 2
    dead = (1,)
    life = 0

    def parts(self) -> Parts:
        self.idle_in(self.pools[2])
        return [
            lambda: _native.steps_reap(self.members[0]),
            lambda: _native.steps_take_and_give(self.members[1], self.life),
            lambda: _native.steps_take_and_give(self.members[2]),
        ]


SHARED: dict[str, Any] = {
    cls.__name__: cls
    for cls in (PermitsTakenAndGiven, TwoPoolsOnePermit, GiveAndWait, WaitForIdle, LeaveAndWait, DeathAndWait)
}
DEATHS = [f"Dies{n}" for n in range(40)]  # alone it needs 35 accesses
SHARED |= {name: type(name, (Dies,), {"life": n}) for n, name in enumerate(DEATHS)}
