"""Random sequences of one thread's operations on a pool, beside a model of it: after every step the connection handed
out, the closed connections and their reasons, the errors and all counts agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import fastpool
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import Abort, Failure, FakeDriver, Plain
from tests.pool.machines import run
from tests.pool.pool_model import Closed, Conn, Exhausted, Model, Options, Refused

RAISES = {Closed: fastpool.PoolClosed, Exhausted: fastpool.NoConnectionsAvailable, Refused: Failure}
ENDS = st.sampled_from([None, None, None, LookupError(), Failure(), Abort()])
SELDOM = st.sampled_from([False, False, False, True])  # these leave little for the steps after them
few = st.integers(1, 4)
seconds = st.sampled_from([1, 2, 5, 20])


def maybe(strategy: Any) -> Any:
    return st.none() | strategy


class Unkept(fastpool.Pool):
    """A pool without a keeper, whose lifetimes have no random part: only calls change it."""

    __slots__ = ()

    def _keep(self) -> None:
        pass

    def _draw_lifetime(self, limit_ns: int, c: Any) -> int:
        return limit_ns


class OnePool(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.clock.__enter__()
        self.blocks: list[tuple[Any, Conn]] = []  # entered leases, outermost first
        self.by_hand: list[Conn] = []
        self.dropped: list[Conn] = []  # checked out by hand, and taken away by close()
        self.pool: Any = None

    def teardown(self) -> None:
        for lease, _ in reversed(self.blocks):
            lease.__exit__(None, None, None)
        if self.pool is not None:
            self.pool.close(timeout=0)
            assert self.driver.open == [], "open after the end"
        self.clock.__exit__(None, None, None)

    @initialize(
        checks=st.booleans(),
        max_size=few,
        max_overflow=st.sampled_from([0, 0, 1, 2, -1]),
        max_idle=maybe(st.integers(0, 3)),
        max_lifetime=maybe(maybe(seconds)),
        idle_timeout=maybe(maybe(seconds)),
        max_uses=maybe(maybe(few)),
        check_after=maybe(st.sampled_from([0, 1, 5])),
        nested=st.booleans(),
    )
    def begin(self, checks: bool, **options: Any) -> None:
        self.driver = FakeDriver() if checks else Plain()
        self.pool = Unkept(driver=self.driver, timeout=0, **options)
        self.model = Model(Options(**options), checks, self.clock.now)

    # ---- checkout and checkin

    def take(self, take: Any) -> Conn | None:
        """Have the pool and the model check out one; None if neither does."""
        before = self.model.next_idle()
        made = len(self.driver.made)
        try:
            real = take()
        except (fastpool.PoolError, Failure) as error:
            # what was found dead or too old is closed before the connect is tried
            chosen = next((c for c in before if c.real.closed), None)
            with pytest.raises(tuple(RAISES)) as expected:
                self.model.check_out(chosen)
            assert type(error) is RAISES[type(expected.value)], f"{error!r}"
            return None
        chosen = next((c for c in before if c.real is real or c.real.closed), None)
        assert chosen is not None or not before or len(self.driver.made) > made, f"{real} came, {before} were next"
        c = self.model.check_out(chosen if chosen is not None else (before[0] if before else None))
        if c.real is None:
            assert len(self.driver.made) == made + 1, f"{real} is not new"
            c.real = real
        assert c.real is real, f"{real} was handed out, and not {c.real}"
        return c

    @precondition(lambda self: not self.model.options.nested)
    @rule(times=st.integers(1, 3))
    def check_out(self, times: int) -> None:
        for _ in range(times):
            c = self.take(self.pool.checkout)
            if c is None:
                return
            self.by_hand.append(c)

    @rule(times=st.integers(1, 3), after=st.sampled_from([0, 0, 1, 4]))
    def use(self, times: int, after: int) -> None:
        """Blocks, one after the other, with some time after each."""
        for _ in range(times):
            entered = len(self.blocks)
            self.enter()
            if len(self.blocks) > entered:
                self.leave_one(-1, None, False)
            self.all_agrees()
            self.time_passes(after)

    @precondition(lambda self: self.by_hand)
    @rule(data=st.data())
    def check_in_all(self, data: st.DataObject) -> None:
        for c in data.draw(st.permutations(self.by_hand)):
            self.by_hand.remove(c)
            self.pool.checkin(c.real)
            self.model.check_in(c)
            self.all_agrees()

    @precondition(lambda self: self.by_hand)
    @rule(which=st.integers(0, 3), discard=st.sampled_from([False, False, True]))
    def check_in(self, which: int, discard: bool) -> None:
        c = self.by_hand.pop(which % len(self.by_hand))
        self.pool.checkin(c.real, discard=discard)
        self.model.check_in(c, discard=discard)
        with pytest.raises(fastpool.LeaseError):
            self.pool.checkin(c.real)

    @precondition(lambda self: self.dropped)
    @rule()
    def check_in_what_close_took(self) -> None:
        self.pool.checkin(self.dropped.pop().real)

    @rule()
    def enter(self) -> None:
        lease = self.pool.connection()
        if self.model.options.nested and self.model.leased:
            (c,) = self.model.leased
            assert lease.__enter__() is c.real, "another connection than that of the outer block"
            c.depth += 1
        else:
            taken = self.take(lease.__enter__)
            if taken is None:
                return
            c = taken
        self.blocks.append((lease, c))

    @precondition(lambda self: self.blocks)
    @rule(which=st.integers(0, 3), error=ENDS, discard=st.sampled_from([False, False, True]))
    def leave(self, which: int, error: BaseException | None, discard: bool) -> None:
        """Inner blocks first; blocks side by side in any order."""
        self.leave_one(-1 if self.model.options.nested else which % len(self.blocks), error, discard)

    def leave_one(self, which: int, error: BaseException | None, discard: bool) -> None:
        lease, c = self.blocks.pop(which)
        if discard:
            lease.discard()
        assert not lease.__exit__(type(error) if error else None, error, None), "an error was swallowed"
        broken = error is not None and not isinstance(error, LookupError)
        if c not in self.model.leased:
            return  # close() took it
        if c.depth > 1:
            c.depth -= 1
            c.tainted = c.tainted or broken or discard
            return
        self.model.check_in(c, discard=discard, broken=broken, failed=error is not None)

    # ---- the pool as a whole

    @rule(sure=SELDOM)
    def clear(self, sure: bool) -> None:
        if sure:
            self.pool.clear()
            self.model.clear()

    @rule(max_size=few, max_overflow=st.sampled_from([0, 1, -1]), max_idle=maybe(st.integers(0, 3)))
    def resize(self, **sizes: Any) -> None:
        self.pool.resize(**sizes)
        for option, value in sizes.items():
            setattr(self.model.options, option, value)
        counts = self.model.shrink_by()
        gone = [c for c in self.model.idle if c.real is not None and c.real.closed]
        assert len(gone) == sum(counts), f"{gone} were closed"
        for why, count in zip(("resized", "max_idle"), counts, strict=True):
            for _ in range(count):
                c = gone.pop()
                self.model.idle.remove(c)
                self.model.end(c, why)

    @rule(n=st.integers(0, 4))
    def warm(self, n: int) -> None:
        n = min(n, self.model.options.max_size)
        made = len(self.driver.made)
        if self.model.closed:
            with pytest.raises(fastpool.PoolClosed):
                self.pool.warm(n)
            return
        try:
            self.model.warm(n)
        except Refused:
            with pytest.raises(Failure):
                self.pool.warm(n)
        else:
            assert self.pool.warm(n) == self.model.size
        new = [c for c in self.model.idle if c.real is None]
        for c, real in zip(new, self.driver.made[made:], strict=True):
            c.real = real

    @rule(drop=st.booleans(), sure=SELDOM)
    def close(self, drop: bool, sure: bool) -> None:
        if not sure:
            return
        self.pool.close(timeout=0 if drop else None)
        taken = self.model.close(drop)
        self.dropped += [c for c in self.by_hand if c in taken]
        self.by_hand = [c for c in self.by_hand if c not in taken]

    # ---- servers and the clock

    @rule(after=seconds)
    def time_passes(self, after: int) -> None:
        self.clock.advance(after)
        self.model.now = self.clock.now

    @rule(up=st.sampled_from([True, True, False]))
    def server_refuses(self, up: bool) -> None:
        self.model.server_up = up
        self.driver.connecting.mode = "ok" if up else Failure("refused")

    @rule()
    def server_hangs_up(self) -> None:
        for c in [*self.model.idle, *self.model.leased]:
            c.dead = c.real.dead = True

    @precondition(lambda self: self.model.checks and not self.model.options.nested and len(self.by_hand) > 1)
    @rule()
    def a_death_is_found(self) -> None:
        """A checkout finds a death while others of that server are leased: those are checked when they have come
        back."""
        self.check_in(0, False)
        self.server_hangs_up()
        self.time_passes(5)
        self.check_out(1)
        self.all_agrees()
        self.check_in(0, False)
        self.check_out(1)

    @rule(works=st.sampled_from([True, True, False]))
    def reset_fails(self, works: bool) -> None:
        self.model.resets = works
        self.driver.resetting.mode = "ok" if works else Failure("no reset")

    # ---- after every step

    @invariant()
    def all_agrees(self) -> None:
        if self.pool is None:
            return
        model, stats = self.model, self.pool.stats()
        assert (stats.idle, stats.leased, stats.size) == (len(model.idle), len(model.leased), model.size)
        assert (stats.connecting, stats.waiting, stats.waits, stats.cancelled) == (0, 0, 0, 0)
        for name in ("checkouts", "checkins", "connects", "connect_errors", "timeouts"):
            assert getattr(stats, name) == model.totals[name], name
        assert {why: n for why, n in stats.closed.items() if n} == {why: n for why, n in model.reasons.items() if n}
        assert stats.checkouts == stats.checkins + stats.leased
        assert stats.connects == sum(stats.closed.values()) + stats.size
        assert {id(c) for c in self.driver.open} == {id(c.real) for c in [*model.idle, *model.leased]}
        assert all(c.closes <= 1 for c in self.driver.made), "closed twice"
        assert sorted(info.depth for info in self.pool.leases()) == sorted(c.depth for c in model.leased)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_the_pool_and_its_model_agree() -> None:
    run(OnePool, 120, 40, derandomize=True, database=None, phases=(Phase.generate, Phase.shrink))


def test_one_death_and_the_others_of_that_server() -> None:
    """A sequence that random choice seldom produces."""
    unlimited = dict.fromkeys(("max_idle", "max_lifetime", "idle_timeout", "max_uses"))
    machine = OnePool()
    machine.begin(checks=True, max_size=3, max_overflow=0, check_after=5, nested=False, **unlimited)
    machine.check_out(3)
    machine.a_death_is_found()
    machine.all_agrees()
    assert machine.model.reasons["dead"] == 2
    machine.teardown()


@pytest.mark.stress
@pytest.mark.timeout(900)
def test_the_pool_and_its_model_agree_for_long() -> None:
    run(OnePool, 4000, 60)
