"""Plays a scene: a few actors (threads) on one pool, in one order of their steps.

Runs in a process of its own, on the core that build.py makes: `install` imports it as fastpool._core.core.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from typing import Any

from tests.orders.walk import BEGINS, DROPS, SLEEPS, Ran, Step, replay, turns

NOW = 1000.0  # the pools' clock stands here
LATER = 5000.0  # and here after a deadline has passed


class Struck(BaseException):
    """Raised by a simulated signal; also ends a run in which no actor can go on."""


class _Finder(MetaPathFinder):
    def __init__(self, path: str) -> None:
        self._path = path

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "fastpool._core.core":
            return None
        return spec_from_file_location(name, self._path, loader=ExtensionFileLoader(name, self._path))


def install(core: str) -> None:
    """From now on `import fastpool` uses this core."""
    assert "fastpool" not in sys.modules
    sys.meta_path.insert(0, _Finder(core))


class Scene:
    """The subject of a run: `set_up` makes `pool` and the actors' parts, `judge` checks the result.

    The actors are called a, b, c … in the order of `parts`.
    """

    pool: Any
    others: Sequence[Any] = ()  # further pools, of the same page as `pool`
    moves = 0  # how often the clock moves on by a second when nobody can go on
    steps: list[Step]
    names: dict[int, str]

    def stood_in_line(self) -> list[int]:
        """The actors that stood in line, in that order."""
        came = []
        before: dict[int, Step] = {}
        for step in self.steps:
            last = before.get(step.actor)
            # a waiter's references are counted up, then the gate: queue_enlist
            counted = last is not None and last.name == "add" and last.where not in self.names
            if counted and step.name == "add" and self.names.get(step.where) == "gate":
                came.append(step.actor)
            before[step.actor] = step
        return came

    def set_up(self) -> Sequence[Callable[[], Any]]:
        raise NotImplementedError

    def judge(self, results: list[Any]) -> None:
        """Raise AssertionError if something is wrong; results: what each part returned, or raised."""

    def strike(self, actor: int) -> Callable[[], None]:
        """A part: a signal for that actor, some time."""
        from fastpool._core import core as _core

        return lambda: _core.steps_strike(actor)

    def time_passes(self) -> Callable[[], None]:
        """A part: all deadlines pass, some time."""
        from fastpool._core import core as _core

        return lambda: _core.clock_stop(LATER)


class Failed(AssertionError):
    """An order in which an assertion fails: `order` can be given to `play`, `story` says what happens."""

    def __init__(self, why: str, order: str, story: str) -> None:
        super().__init__(f"{why}\norder: {order}\n{story}")
        self.why, self.order, self.story = why, order, story


class Play:
    """A scene as a program for `Walk`, or in one given order."""

    def __init__(self, make: Callable[[], Scene]) -> None:
        from fastpool._core import core as _core

        self._core: Any = _core
        self._make = make
        self.steps: list[Step] = []
        self.names: dict[int, str] = {}

    def __call__(self, plan: bytes, asleep: int, seed: int = 0) -> Ran:
        core = self._core
        core.clock_stop(NOW)
        scene = self._make()
        parts = scene.set_up()
        core.steps_prepare(len(parts), plan, asleep, seed, Struck, [scene.pool, *scene.others], scene.moves)
        results: list[Any] = [None] * len(parts)
        threads = [
            threading.Thread(target=self._act, args=(number, part, results), daemon=True)
            for number, part in enumerate(parts)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stuck, diverged, redundant, done = core.steps_done()
        self.steps = scene.steps = [Step(*one) for one in done]
        self.names = scene.names = self._named(scene)
        try:
            if diverged >= 0 and diverged < len(plan):
                raise AssertionError(f"step {diverged} of the plan could not be taken: the scene is not repeatable")
            if stuck >= 0:
                raise AssertionError(f"from step {stuck} on nobody can go on: {results}")
            scene.judge(results)
        except AssertionError as wrong:
            order = replay(bytes(step.actor for step in self.steps))
            raise Failed(str(wrong), order, self.story) from None
        clock, strikes = core.steps_ends_of_sleep(len(parts))
        return Ran(self.steps, redundant, {actor: [clock, strike] for actor, strike in enumerate(strikes)})

    def _named(self, scene: Scene) -> dict[int, str]:
        names: dict[int, str] = {}
        for number, pool in enumerate(scene.others, 2):
            names |= {where: f"{name}({number})" for where, name in self._core.steps_names(pool).items()}
        if scene.others:
            names |= self._core.steps_page_names(scene.pool)
        return names | self._core.steps_names(scene.pool)

    @property
    def story(self) -> str:
        """A description of the last run."""
        return _story(self.steps, self.names)

    def _act(self, number: int, part: Callable[[], Any], results: list[Any]) -> None:
        try:
            self._core.steps_enter(number)
            results[number] = part()
        except BaseException as error:
            error.__traceback__ = None
            results[number] = error
        finally:
            self._core.steps_leave()

    def in_order(self, order: str) -> Ran:
        """Replay the run of `Failed.order`, then continue in any order."""
        return self(turns(order), 0)


def _story(steps: list[Step], names: dict[int, str]) -> str:
    """A description of a run, a line for each switch to another actor."""
    lines: list[str] = []
    for number, step in enumerate(steps):
        where = names.get(step.where, "sleep" if step.kind in (SLEEPS, DROPS) else "waiter")
        said = f"{step.name} {where}" if step.kind != BEGINS else "begin"
        if number == 0 or step.actor != steps[number - 1].actor:
            lines.append(f"  {chr(ord('a') + step.actor)}: {said}")
        else:
            lines[-1] += f", {said}"
    return "\n".join(lines)
