"""Random sequences of events in a line of waiting threads, beside a list: whatever is freed serves the first in
line."""

from __future__ import annotations

import threading
from collections.abc import Callable
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
from tests.pool.fake_driver import Failure, Plain, Run, until
from tests.pool.machines import run


class Waiter:
    """A thread in a checkout."""

    def __init__(self, pool: fastpool.Pool, deadline: float | None, timeout: float | None) -> None:
        self.deadline = deadline
        self.run = Run(lambda: pool.checkout(timeout=timeout))


class Line(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.clock.__enter__()
        self.pool: Any = None
        self.line: list[Waiter] = []
        self.out: list[Any] = []  # connections that are leased
        self.fails = 0  # connects that are still to fail
        self.lock = threading.Lock()
        self.closed = False

    def teardown(self) -> None:
        if self.pool is not None:
            self.pool.close(timeout=0)
            for waiter in self.line:
                assert isinstance(waiter.run.error(), fastpool.PoolClosed)
        self.clock.__exit__(None, None, None)

    @initialize(max_size=st.integers(1, 3), max_waiting=st.sampled_from([None, 1, 3]))
    def begin(self, max_size: int, max_waiting: int | None) -> None:
        self.driver = Plain()
        self.driver.connecting.mode = self.connect
        self.limit, self.idle, self.max_waiting = max_size, 0, max_waiting
        self.pool = self.driver.pool(
            max_size=max_size, max_waiting=max_waiting, timeout=0, check_after=None, max_connecting=10
        )

    def connect(self) -> None:
        with self.lock:  # several waiters may be connecting
            if self.fails:
                self.fails -= 1
                raise Failure("refused")

    # ---- the model: which waiters are served when that much is free

    @property
    def free(self) -> int:
        return max(self.limit - len(self.out), 0)

    def serve(self) -> None:
        """The first in line get what is free; a connect that fails leaves it to the next."""
        while self.line and self.free:
            waiter = self.line.pop(0)
            waits_for_connect = not self.idle
            self.idle = max(self.idle - 1, 0)
            try:
                c = waiter.run.result()
            except Failure:
                # of several concurrent connects it is undefined which one is refused, but not how many are
                assert waits_for_connect and self.failing
                self.failing -= 1
                continue
            assert not c.closed
            assert c not in self.out, "in two hands"
            self.out.append(c)

    def freed(self, what: Callable[[], Any]) -> None:
        self.failing = self.fails
        what()
        self.serve()
        assert self.failing == self.fails

    # ---- the events

    @precondition(lambda self: not self.closed and self.free and not self.line)
    @rule()
    def take(self) -> None:
        if self.idle or not self.fails:
            self.idle = max(self.idle - 1, 0)
            self.out.append(self.pool.checkout())
        else:
            with pytest.raises(Failure):
                self.pool.checkout()

    @precondition(lambda self: not self.closed and not self.free)
    @rule(timeout=st.sampled_from([None, 1, 5, 20]))
    def wait(self, timeout: int | None) -> None:
        if self.max_waiting is not None and len(self.line) >= self.max_waiting:
            with pytest.raises(fastpool.PoolOverloaded):
                self.pool.checkout(timeout=timeout)
            return
        deadline = None if timeout is None else self.clock.now + timeout
        self.line.append(Waiter(self.pool, deadline, timeout))
        until(lambda: self.pool.stats().waiting == len(self.line), "in line")

    @precondition(lambda self: not self.closed and not self.free)
    @rule()
    def want_it_now(self) -> None:
        with pytest.raises(fastpool.NoConnectionsAvailable):
            self.pool.checkout(timeout=0)

    @precondition(lambda self: self.out)
    @rule(which=st.integers(0, 3), discard=st.booleans())
    def give(self, which: int, discard: bool) -> None:
        c = self.out.pop(which % len(self.out))
        surplus = len(self.out) >= self.limit
        if not (discard or surplus or self.closed):
            self.idle += 1
        self.freed(lambda: self.pool.checkin(c, discard=discard))

    @precondition(lambda self: not self.closed)
    @rule(max_size=st.integers(1, 4))
    def resize(self, max_size: int) -> None:
        self.limit = max_size
        self.idle = min(self.idle, max(max_size - len(self.out), 0))
        self.freed(lambda: self.pool.resize(max_size=max_size))

    @rule(seconds=st.sampled_from([1, 4, 10]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)
        late = [waiter for waiter in self.line if waiter.deadline is not None and waiter.deadline <= self.clock.now]
        for waiter in late:
            error = waiter.run.error()
            assert type(error) is fastpool.NoConnectionsAvailable
            self.line.remove(waiter)

    @rule(times=st.integers(0, 2))
    def connects_fail(self, times: int) -> None:
        self.fails = times

    @precondition(lambda self: not self.closed)
    @rule(sure=st.sampled_from([False, False, False, False, True]))
    def close(self, sure: bool) -> None:
        if not sure:
            return
        self.closed = True
        self.idle = 0
        self.pool.close()
        for waiter in self.line:
            assert isinstance(waiter.run.error(), fastpool.PoolClosed)
        self.line.clear()

    @invariant()
    def all_agrees(self) -> None:
        if self.pool is None:
            return
        stats = self.pool.stats()
        assert (stats.idle, stats.leased, stats.waiting) == (self.idle, len(self.out), len(self.line))
        assert not any(waiter.run.done for waiter in self.line), "out of line, and nothing was free"
        assert stats.checkouts == stats.checkins + stats.leased
        assert stats.connects == sum(stats.closed.values()) + stats.size
        assert len(self.driver.open) == stats.size == stats.idle + stats.leased


def test_the_line_and_its_model_agree() -> None:
    run(Line, 40, 30, derandomize=True, database=None, phases=(Phase.generate,))


@pytest.mark.stress
@pytest.mark.timeout(900)
def test_the_line_and_its_model_agree_for_long() -> None:
    run(Line, 1000, 50)
