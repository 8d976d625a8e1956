"""The scenes: what runs concurrently, and what must hold in every order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import fastpool
from tests.orders.stage import Scene, Struck
from tests.pool.fake_driver import Failure, Plain, balanced, serves

Parts = Sequence[Callable[[], Any]]


class OnPool(Scene):
    """Connections without check and reset, no deadline unless a part sets one; afterwards every count is exact."""

    size = 1
    leased = 1  # checked out by hand before the scene begins
    options: ClassVar[dict[str, Any]] = {}

    def set_up(self) -> Parts:
        self.driver = Plain()
        self.pool = self.driver.pool(max_size=self.size, check_after=None, timeout=None, **self.options)
        self.out = [self.pool.checkout() for _ in range(self.leased)]
        self.served: list[str] = []
        return self.parts()

    def parts(self) -> Parts:
        raise NotImplementedError

    def give(self, discard: bool = False) -> None:
        self.pool.checkin(self.out[0], discard=discard)

    def user(self, name: str = "", **lease: Any) -> Callable[[], Any]:
        """A part: a whole checkout and checkin by hand."""

        def use() -> Any:
            c = self.pool.checkout(**lease)
            self.served.append(name)
            self.use(c)
            self.pool.checkin(c)
            return c

        return use

    def block(self) -> Any:
        """A part: a whole block."""
        with self.pool.connection() as c:
            self.use(c)
        return c

    def use(self, c: Any) -> None:
        """The connection is open; if another part had it as well, returning it would fail."""
        assert not c.closed, f"{c} had been closed when it was handed out"

    def judge(self, results: list[Any]) -> None:
        for result in results:
            if isinstance(result, BaseException):
                assert isinstance(result, self.may_raise), f"{result!r} in {results}"
        stats = balanced(self.pool)
        assert stats.leased == 0, f"{stats.leased} leased when all have ended"
        assert len(self.driver.open) == stats.size, "open connections that the pool does not know of, or the reverse"
        self.still_serves()

    may_raise: tuple[type[BaseException], ...] = ()

    def still_serves(self) -> None:
        serves(self.pool, self.size, 0)
        balanced(self.pool)


class ReturnAndWait(OnPool):
    def parts(self) -> Parts:
        return [self.give, self.user()]


class TwoBlocks(OnPool):
    """The fast path in and out, one connection for two."""

    leased = 0

    def parts(self) -> Parts:
        self.block()  # each finds it idle, or has to wait
        return [self.block, self.block]


class OwnSlotAgain(OnPool):
    """Each takes its own last slot again, past the stack, while the other returns it."""

    size = 2
    leased = 0
    may_raise = (fastpool.NoConnectionsAvailable,)

    def parts(self) -> Parts:
        self.user()()

        def twice() -> None:
            for _ in range(2):
                self.user(timeout=0)()

        return [twice, twice]

    def still_serves(self) -> None:
        for _ in range(2):  # a second entry would give one connection to two
            super().still_serves()


class TimeoutAndHandOff(OnPool):
    """The deadline passes before the return begins: the waiter may wake at any point of it."""

    may_raise = (fastpool.NoConnectionsAvailable,)

    def parts(self) -> Parts:
        late = self.time_passes()
        return [lambda: (late(), self.give()), self.user(timeout=5)]

    def judge(self, results: list[Any]) -> None:
        super().judge(results)
        stats = self.pool.stats()
        assert stats.timeouts == isinstance(results[1], fastpool.NoConnectionsAvailable)


class TimeoutAtAnyTime(TimeoutAndHandOff):
    """The deadline passes at any point of anything."""

    def parts(self) -> Parts:
        return [self.give, self.user(timeout=5), self.time_passes()]


class CancelAndHandOff(OnPool):
    may_raise = (Struck,)

    def parts(self) -> Parts:
        return [self.give, self.user(), self.strike(1)]


class CancelAndNextInLine(OnPool):
    """A slot that was handed to a cancelled waiter goes to the next."""

    may_raise = (Struck,)

    def parts(self) -> Parts:
        return [self.give, self.user("b"), self.user("c"), self.strike(1)]


class FailedConnectAndWait(OnPool):
    leased = 0
    may_raise = (Failure,)
    options: ClassVar = {"max_connecting": 1}

    def parts(self) -> Parts:
        self.driver.connecting.mode = self.fail_once
        return [self.user(), self.user()]

    def fail_once(self) -> None:
        if self.driver.connecting.calls == 1:
            raise Failure("refused")

    def judge(self, results: list[Any]) -> None:
        super().judge(results)
        assert sum(isinstance(result, Failure) for result in results) == 1
        assert self.pool.stats().connect_errors == 1


class OnePermit(OnPool):
    """Room for two and one permit: the waiter for the permit gets it, or the connection that was returned."""

    size = 2
    leased = 0
    options: ClassVar = {"max_connecting": 1}

    def parts(self) -> Parts:
        return [self.user(), self.user()]


class CloseAndWait(OnPool):
    may_raise = (fastpool.PoolClosed,)

    def parts(self) -> Parts:
        return [self.pool.close, self.user()]

    def still_serves(self) -> None:
        assert self.driver.open == [], "open in a closed pool"

    def judge(self, results: list[Any]) -> None:
        assert isinstance(results[1], fastpool.PoolClosed)
        self.give()
        super().judge(results)


class CloseAndReturn(OnPool):
    """The pool is closed while a connection is returned and another caller waits for it."""

    may_raise = (fastpool.PoolClosed,)

    def parts(self) -> Parts:
        return [self.pool.close, self.give, self.user()]

    def still_serves(self) -> None:
        assert self.driver.open == [], "open in a closed pool"


class CloseAndBlock(OnPool):
    """close(timeout=0) and the block's end race for the lease: exactly one of them ends it."""

    leased = 0
    may_raise = (fastpool.PoolClosed,)

    def parts(self) -> Parts:
        return [self.block, lambda: self.pool.close(timeout=0)]

    def still_serves(self) -> None:
        assert self.driver.open == [], "open in a closed pool"
        assert all(c.closes == 1 for c in self.driver.made), "closed twice"


class CloseNowAndReturn(OnPool):
    """A connection by hand whose lease close() ended is returned without an error, and closed once."""

    def parts(self) -> Parts:
        return [lambda: self.pool.close(timeout=0), self.give]

    def still_serves(self) -> None:
        assert self.out[0].closes == 1


class GrowAndWait(OnPool):
    def parts(self) -> Parts:
        return [lambda: self.pool.resize(max_size=2), self.user()]

    def judge(self, results: list[Any]) -> None:
        self.give()
        super().judge(results)


class ShrinkAndReturn(OnPool):
    size = 2
    leased = 2

    def parts(self) -> Parts:
        return [lambda: self.pool.resize(max_size=1), self.give, lambda: self.pool.checkin(self.out[1])]

    def still_serves(self) -> None:
        assert len(self.driver.open) <= 1, "more open than max_size"
        serves(self.pool, 1, 0)
        c = self.pool.checkout(timeout=0)
        try:
            self.pool.checkout(timeout=0)
        except fastpool.NoConnectionsAvailable:
            self.pool.checkin(c)
        else:
            raise AssertionError("a pool of one has given two")


class ShrinkGrowAndWait(OnPool):
    """Sizes change both ways while one connection is returned and one caller waits."""

    size = 2
    leased = 2

    def parts(self) -> Parts:
        def both_ways() -> None:
            self.pool.resize(max_size=1)
            self.pool.resize(max_size=2)

        return [both_ways, self.give, self.user()]

    def judge(self, results: list[Any]) -> None:
        self.pool.checkin(self.out[1])
        super().judge(results)


class DiscardAndWait(OnPool):
    def parts(self) -> Parts:
        return [lambda: self.give(discard=True), self.user()]

    def judge(self, results: list[Any]) -> None:
        super().judge(results)
        assert self.out[0].closes == 1
        assert results[1] is not self.out[0]


class ClearAndReturn(OnPool):
    def parts(self) -> Parts:
        return [self.pool.clear, self.give, self.user()]

    def judge(self, results: list[Any]) -> None:
        super().judge(results)
        assert self.out[0].closes <= 1


class ReturnedTwice(OnPool):
    may_raise = (fastpool.LeaseError,)

    def parts(self) -> Parts:
        return [self.give, self.give]

    def judge(self, results: list[Any]) -> None:
        super().judge(results)
        assert sum(isinstance(result, fastpool.LeaseError) for result in results) == 1, results


class FirstComeFirstServed(OnPool):
    def parts(self) -> Parts:
        return [self.give, self.user("b"), self.user("c")]

    def judge(self, results: list[Any]) -> None:
        super().judge(results)
        came = [actor for actor in self.stood_in_line() if actor in (1, 2)]
        if len(came) == 2:  # otherwise it was free, or was taken before anyone stood in line
            assert self.served == ["abc"[actor] for actor in came], f"{came} came, {self.served} were served"


SCENES = {cls.__name__: cls for cls in list(globals().values()) if isinstance(cls, type) and "parts" in cls.__dict__}
SCENES.pop("OnPool")
