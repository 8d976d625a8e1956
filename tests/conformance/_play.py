"""Plays a scenario step by step: after each step it waits until all is quiet, and compares the state with what the
scenario expects.

Quiet means: every actor has finished, or is held in a call of the driver, or waits in line with time left.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import fastpool
from fastpool.testing import VirtualClock
from tests.conformance._language import ERRORS, Scenario, Step
from tests.conformance._stage import DRIVERS, PATIENT, Actor, Director, TaskActor, ThreadActor, Wire
from tests.pool.fake_driver import PATIENCE


class Mismatch(AssertionError):
    """The state is not what the scenario says."""


class Ear:
    """A listener that records every event."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda event: self.heard.append(event.name)


@contextmanager
def _running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


def play(scenario: Scenario, model: str) -> None:
    """Play it with `threads` or with `tasks`. Mismatch, with the step, where the state differs from what is
    expected."""
    with VirtualClock() as clock:
        if model == "threads":
            Play(scenario, clock, None).perform()
        else:
            with _running_loop() as loop:
                Play(scenario, clock, loop).perform()


class Play:
    """One run of a scenario."""

    def __init__(self, scenario: Scenario, clock: VirtualClock, loop: asyncio.AbstractEventLoop | None) -> None:
        self.scenario, self.clock, self.loop = scenario, clock, loop
        self.director = Director()
        self.ear = Ear()
        self.pool: Any = None
        self.groups: dict[str, list[Actor]] = {}
        self.actors: list[Actor] = []

    def _set_up(self) -> None:
        options = dict(self.scenario.pool)
        if any("told" in step.then for step in self.scenario.steps):
            options["listeners"] = [self.ear]
        model = "threads" if self.loop is None else "tasks"
        driver = DRIVERS[model, self.scenario.connections](self.director)
        kind: Any = fastpool.Pool if self.loop is None else fastpool.AsyncPool
        self.pool = kind(driver=driver, **options)
        for name, count in self.scenario.actors.items():
            names = [f"{name}-{n}" for n in range(1, count + 1)] or [name]
            self.groups[name] = [self._actor(one) for one in names]
            self.actors += self.groups[name]

    def _actor(self, name: str) -> Actor:
        if self.loop is None:
            return ThreadActor(name, self.pool, lambda: self.clock.now)
        return TaskActor(name, self.pool, lambda: self.clock.now, self.loop)

    def perform(self) -> None:
        """Set up, play all steps, and check that nothing was lost."""
        self._set_up()
        try:
            for step in self.scenario.steps:
                try:
                    self._happen(step)
                    self._quiet()
                    self._compare(step)
                except AssertionError as error:
                    raise Mismatch(f"{self.scenario.name!r}, step {step.number}: {error}\n{self._standing()}") from None
            self._nothing_is_lost()
        finally:
            self._clear_up()

    # ---- what happens

    def _happen(self, step: Step) -> None:
        if step.kind == "actor":
            for actor in self.groups[step.subject]:
                actor.begin(step.verb, step.how)
                if step.verb in ("asks", "asks and leaves", "checks out"):
                    self._quiet()  # in this order
        elif step.kind == "release":
            who, stage = step.subject.split("'s ")
            names = {actor.name for actor in self.groups.get(who, ())} or {who}
            call = next((call for call in self.director.held if call.stage == stage and call.who in names), None)
            assert call is not None, f"no {stage} of {who} is held"
            call.release(step.verb)
            self._until(lambda: call not in self.director.held, "the call going on")
        elif step.kind == "cue":
            assert step.subject in ("connect", "close") or self.scenario.connections == "checked", "there is none"
            self.director.cues[step.subject] = step.verb
        elif step.kind == "connection":
            every = step.subject == "every connection"
            for c in list(self.director.made) if every else [self._connection(step.subject)]:
                self._befall(c, step.verb)
        elif step.kind == "server":
            host, port = step.subject.split(":")
            change = self.director.refusing.add if step.verb == "refuses" else self.director.refusing.discard
            change((host, int(port)))
        elif step.kind == "clock":
            try:
                self.clock.advance(step.verb, patience=0)
            except TimeoutError:
                pass  # the keeper is held, or about to be: _quiet waits for it

    def _connection(self, name: str) -> Any:
        number = int(name[1:])
        assert number <= len(self.director.made), f"{name} was never opened"
        return self.director.made[number - 1]

    def _befall(self, c: Any, fate: str) -> None:
        noticed_by = "checked" if fate == "dies" else "sockets"
        assert self.scenario.connections == noticed_by, f"{c} cannot be one that {fate}"
        if fate == "dies":
            c.dead = True
        elif fate == "hangs up":
            c.far.close()
        else:
            c.far.send(b"hello")

    # ---- until all is quiet

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{what} has not come true"
            time.sleep(0.0002)

    def _open(self) -> list[Any]:
        return [c for c in self.director.made if not c.closes]

    def _held(self) -> dict[str, str]:
        return {call.who: call.stage for call in list(self.director.held)}

    def _has_to_wait(self, unsettled: list[Actor], stats: fastpool.Stats) -> bool:
        """An actor that closes with a time limit waits for leases; one that warms waits for connects of others."""
        if any(actor.verb == "warms" for actor in unsettled):
            return stats.connecting >= self.pool.config.max_connecting
        done = self.pool.closed and not stats.idle and stats.size == len(self._open())
        limited = all(actor.limit is not None for actor in unsettled if actor.verb == "closes")
        return done and limited and bool(stats.leased or stats.connecting)

    def _is_quiet(self) -> bool:
        held = self._held()
        unsettled = [actor for actor in self.actors if actor.busy and actor.name not in held]
        in_line = [actor for actor in unsettled if actor.verb not in PATIENT]
        if any(actor.limit is not None and actor.limit <= self.clock.now for actor in unsettled):
            return False
        stats = self.pool.stats()
        if len(in_line) != stats.waiting:
            return False
        if stats.connecting > sum(call.stage == "connect" for call in list(self.director.held)):
            return False  # also a worker that goes on with a connect that nobody waits for
        if len(in_line) < len(unsettled) and not self._has_to_wait(unsettled, stats):
            return False
        if "keeper" not in held:
            try:
                self.clock.settle(patience=0)
            except TimeoutError:
                return False
        if self.loop is not None:
            # What was scheduled with call_soon
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop).result(PATIENCE)
            closing = [call for call in list(self.director.held) if call.stage in ("close", "reset")]
            return len(self.pool.driver.closing) == len(closing)
        return True

    def _quiet(self) -> None:
        self._until(lambda: self._is_quiet() and self._is_quiet(), "silence")

    # ---- the state

    def _state(self, actor: Actor) -> str:
        held = self._held()
        if actor.busy:
            if actor.name in held:
                return f"in {held[actor.name]}"
            return "at it" if actor.verb in PATIENT else "in line"
        if actor.error is not None:
            return type(actor.error).__name__
        return f"has {', '.join(map(repr, actor.connections))}" if actor.connections else "out"

    def _compare(self, step: Step) -> None:
        for key, expected in step.then.items():
            if key in self.groups:
                if self.scenario.actors[key]:
                    self._compare_crowd(key, expected)
                else:
                    self._compare_actor(self.groups[key][0], expected)
                continue
            actual: Any
            if key == "keeper":
                actual = f"in {self._held()['keeper']}" if "keeper" in self._held() else "out"
            elif key == "open":
                actual = [repr(c) for c in self._open()]
            elif key == "calls":
                actual = {stage: self.director.calls[stage] for stage in expected}
            elif key == "time left":
                actual = self.director.time_left
                expected = [pytest.approx(seconds) for seconds in expected]
            elif key == "told":
                actual, self.ear.heard = self.ear.heard, []
            else:
                actual = self._statistics(expected)
            assert actual == expected, f"{key}: {actual} is not {expected}"

    def _compare_crowd(self, name: str, expected: dict[str, int]) -> None:
        actual: Counter[str] = Counter()
        for actor in self.groups[name]:
            state = self._state(actor)
            actual["has a connection" if state.startswith("has ") else state] += 1
        assert dict(actual) == expected, f"{name}: {dict(actual)} is not {expected}"

    def _compare_actor(self, actor: Actor, expected: Any) -> None:
        state = self._state(actor)
        if not isinstance(expected, dict):
            good = state.startswith("has ") if expected == "has a connection" else state == expected
            assert good, f"{actor.name}: {state!r} is not {expected!r}"
            return
        assert not actor.busy, f"{actor.name} is still {state}"
        error = actor.error
        for what, value in expected.items():
            actual: Any
            if what == "raises":
                actual = state
            elif what == "after":
                actual, value = actor.ended - actor.began, pytest.approx(value)
            elif what == "because":
                actual, value = type(error.__cause__) if error else None, ERRORS[value]
            elif what == "phase":
                actual = getattr(error, "phase", None)
            elif what == "saying":
                assert re.search(value, str(error)), f"{actor.name}: {str(error)!r} does not say {value!r}"
                continue
            else:
                actual = actor.gave
            assert actual == value, f"{actor.name}: {what} is {actual!r}, not {value!r}"

    def _statistics(self, wanted: dict[str, Any]) -> dict[str, Any]:
        stats = self.pool.stats()
        actual: dict[str, Any] = {}
        for name in wanted:
            which, _, what = name.partition(".")
            value = getattr(stats, which)
            if what:
                value = getattr(value, what)
                actual[name] = round(value, 6)
            else:
                actual[name] = {k: n for k, n in value.items() if n} if name == "closed" else value
        return actual

    def _standing(self) -> str:
        lines = [f"  {actor.name}: {self._state(actor)}" for actor in self.actors[:12]]
        return "\n".join([repr(self.pool), *lines, f"  calls: {dict(self.director.calls)}"])

    # ---- the end

    def _nothing_is_lost(self) -> None:
        """All remaining actors end, the pool gives out as many connections as ever, and the totals are exact."""
        self._heal()
        self._until(self._send_home, "everybody being out")
        if not self.pool.closed:
            size = self.pool.config.max_size
            late = [self._actor(f"late-{n}") for n in range(size)]
            self.actors += late
            for actor in late:
                actor.begin("asks", {"timeout": 5})
                self._quiet()
                while self.director.held:  # a connect that nobody waits for, which began as everything was healed
                    self._heal()
                    self._quiet()
                assert self._state(actor).startswith("has "), f"{actor.name} is {self._state(actor)}: {self.pool}"
            self._until(self._send_home, "everybody being out")
        stats = self.pool.stats()
        assert stats.checkouts == stats.checkins + stats.leased, stats
        assert stats.connects == sum(stats.closed.values()) + stats.size, stats
        assert stats.size == stats.idle == len(self.director.made) - sum(c.closes for c in self.director.made), stats
        assert (stats.connecting, stats.waiting, stats.leased) == (0, 0, 0), stats
        assert all(c.closes <= 1 for c in self.director.made), [c for c in self.director.made if c.closes > 1]

    def _heal(self) -> None:
        self.director.cues = dict.fromkeys(self.director.cues, "works")
        self.director.refusing.clear()
        for c in self.director.made:
            c.dead = False
        for call in list(self.director.held):
            call.release("works")

    def _send_home(self) -> bool:
        for actor in self.actors:
            if not actor.busy and actor.verb == "goes home":
                assert actor.error is None, f"{actor.name} could not leave: {actor.error!r}"
            if not actor.busy and actor.connections:
                actor.begin("goes home", {})
                return False
        return not any(actor.busy or actor.connections for actor in self.actors)

    def _clear_up(self) -> None:
        self._heal()
        if self.loop is None:
            self.pool.close(timeout=0)
        else:
            asyncio.run_coroutine_threadsafe(self.pool.close(timeout=0), self.loop).result(PATIENCE)
        for actor in self.actors:
            actor.send(None)
        self._until(lambda: all(actor.is_gone() for actor in self.actors), "everybody's end")
        for c in self.director.made:
            if isinstance(c, Wire):
                c.near.close()
                c.far.close()
