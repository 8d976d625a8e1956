"""The language of the scenarios in the YAML files of this folder; anything else is an error.

A scenario lists what a few threads do with a pool, step by step::

    - scenario: A connect that fails wakes a waiter        # one line
      from: SQLAlchemy 2.1.9 QueuePool                     # the pool, and its issue or test
      regression: 1                                        # number in the list that test_scenarios.py has, if any
      tells: what went wrong there, and what must happen here
      pool: {max_size: 1, timeout: 5}                      # options
      connections: plain | checked | sockets               # with no check, with check and reset, with a descriptor
      concurrency: [threads, tasks]                        # Pool and threads, AsyncPool and tasks; both if left out
      threads: [ana, bob, crowd x 50]                      # the actors; a crowd is many of one name
      steps: …

Each step has one event, and after `then` the state to expect once all is quiet again::

    ana: asks            | {asks: {timeout: 0}}            a block begins; asks and leaves: it ends at once
    ana: leaves          | {leaves: {raising: Failure, discarding: true}}
    ana: checks out      | checks in | checks in again | checks in a stranger | {checks in: {discard: true}}
    ana: loses it                                          her block can never end: the lease is garbage
    ana: opens | closes | clears | {closes: {timeout: 2}} | {warms: {n: 3}} | {resizes: {max_size: 2}}
    connect: is held     | works | fails | aborts | is interrupted      what the driver's next calls do (check, reset,
                                                           close as well; check also: says no)
    ana's connect: works                                   the outcome of her call that is held
    c1: dies             | hangs up | speaks               the first connection that was made; or: every connection
    a:1: refuses         | accepts                         a server
    clock: 2.5                                             that many seconds pass

    then:
      ana: out | has c1 | has a connection | in line | in connect (check, reset, close) | at it | Failure
      ana: {raises: Failure, after: 5, phase: wait, saying: a regular expression, because: Failure} | {gave: 3}
      crowd: {in line: 48, in connect: 2}
      open: [c1, c2]                                       connections that are open
      calls: {connect: 3}                                  of the driver, so far
      stats: {idle: 1, closed: {dead: 1}, hold.count: 2}
      told: [checked_out, checked_in]                      events since the last `told`
      time left: [5, 3]                                    the `timeout` of connect and check, so far

The clock moves only in `clock` steps: everything else takes no time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import fastpool
from fastpool._telemetry.events import EVENTS
from fastpool._telemetry.stats import CLOSE_REASONS
from tests.pool.fake_driver import Abort, Failure

STAGES = ("connect", "check", "reset", "close")
MODELS = ("threads", "tasks")
CONNECTIONS = ("plain", "checked", "sockets")
VERBS: dict[str, set[str]] = {
    "asks": {"timeout"},
    "asks and leaves": {"timeout"},
    "leaves": {"raising", "discarding"},
    "checks out": {"timeout"},
    "checks in": {"discard"},
    "checks in again": set(),
    "checks in a stranger": set(),
    "loses it": set(),
    "opens": set(),
    "closes": {"timeout"},
    "clears": set(),
    "warms": {"n", "timeout"},
    "resizes": {"min_size", "max_size", "max_overflow", "max_idle"},
}
OUTCOMES = ("works", "fails", "aborts", "is interrupted", "says no", "is held")
FATES = ("dies", "hangs up", "speaks")
MOODS = ("refuses", "accepts")
ERRORS: dict[str, type[BaseException]] = {
    error.__name__: error
    for error in (
        *(Abort, Failure, KeyboardInterrupt, LookupError, ValueError),
        *(fastpool.AllServersUnavailable, fastpool.LeaseError, fastpool.NoConnectionsAvailable),
        *(fastpool.PoolClosed, fastpool.PoolDeadlock, fastpool.PoolOverloaded),
    )
}
STATES = re.compile(r"out|in line|at it|has a connection|has c\d+(?:, c\d+)*|in (?:connect|check|reset|close)")
ACCOUNT = {"raises", "after", "phase", "saying", "because", "gave"}
SERVER = re.compile(r"[a-z]+:\d+")
CONNECTION = re.compile(r"c[1-9]\d*|every connection")
STATISTICS = set(fastpool.Stats.__dataclass_fields__) | {
    f"{which}.{what}" for which in ("wait", "connect", "hold") for what in ("count", "sum_s", "max_s")
}


class BadScenario(Exception):
    """A scenario has something that is not in the language."""


@dataclass
class Step:
    """One event: its subject, kind, verb and arguments; then the state to expect."""

    number: int
    kind: str = "look"  # actor, release, cue, connection, server, clock, look
    subject: str = ""
    verb: Any = None
    how: dict[str, Any] = field(default_factory=dict)
    then: dict[str, Any] = field(default_factory=dict)


@dataclass
class Scenario:
    """A parsed scenario."""

    name: str
    origin: str
    tells: str
    pool: dict[str, Any]
    actors: dict[str, int]  # name -> how many; 0: a single actor, not a crowd
    steps: list[Step]
    connections: str = "plain"
    concurrency: tuple[str, ...] = MODELS
    regression: int | None = None
    file: str = ""


class _Loader(yaml.SafeLoader):
    """A YAML loader that refuses a mapping with a repeated key, which YAML itself would accept."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise BadScenario(f"{key!r} is there twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def load(path: Path) -> list[Scenario]:
    """The scenarios of a file."""
    return understand(path.read_text(encoding="utf-8"), path.name)


def understand(text: str, file: str = "") -> list[Scenario]:
    """The scenarios of a text; BadScenario for anything that is not in the language."""
    told = yaml.load(text, _Loader)
    if not isinstance(told, list):
        raise BadScenario(f"{file}: a list of scenarios is wanted")
    return [_scenario(one, file) for one in told]


def _keys(where: str, given: Any, allowed: set[str], needed: set[str] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]
    if not isinstance(given, dict):
        raise BadScenario(f"{where}: a mapping is wanted, not {given!r}")
    if unknown := set(given) - allowed:
        raise BadScenario(f"{where}: nobody knows {sorted(map(str, unknown))}; known are {sorted(allowed)}")
    if missing := needed - set(given):
        raise BadScenario(f"{where}: {sorted(missing)} must be said")
    return given


def _one_of(where: str, given: Any, allowed: Any) -> Any:
    if given not in allowed:
        raise BadScenario(f"{where}: {given!r} is none of {list(allowed)}")
    return given


def _scenario(told: Any, file: str) -> Scenario:
    needed = {"scenario", "from", "tells", "pool", "threads", "steps"}
    told = _keys(file, told, needed | {"regression", "connections", "concurrency"}, needed)
    name = str(told["scenario"])
    where = f"{file}: {name!r}"
    actors: dict[str, int] = {}
    for who in told["threads"]:
        crowd = re.fullmatch(r"([a-z]+)(?: x (\d+))?", who)
        if crowd is None or crowd[1] in actors or crowd[1] in (*STAGES, "clock", "keeper", "open", "calls", "stats"):
            raise BadScenario(f"{where}: {who!r} cannot take part: a name, once, or `name x 50`")
        actors[crowd[1]] = int(crowd[2] or 0)
    concurrency = tuple(_one_of(where, model, MODELS) for model in told.get("concurrency", MODELS))
    if not told["steps"] or not concurrency:
        raise BadScenario(f"{where}: nothing happens")
    steps = [_step(f"{where}, step {n}", n, one, actors) for n, one in enumerate(told["steps"], 1)]
    if not any(step.then for step in steps):
        raise BadScenario(f"{where}: nothing is expected")
    return Scenario(
        name=name,
        origin=str(told["from"]),
        tells=str(told["tells"]),
        pool=_keys(where, told["pool"], set(told["pool"]) if isinstance(told["pool"], dict) else set()),
        actors=actors,
        steps=steps,
        connections=_one_of(where, told.get("connections", "plain"), CONNECTIONS),
        concurrency=concurrency,
        regression=told.get("regression"),
        file=file,
    )


def _step(where: str, number: int, told: Any, actors: dict[str, int]) -> Step:
    if not isinstance(told, dict) or not told:
        raise BadScenario(f"{where}: a mapping is wanted, not {told!r}")
    happens = [key for key in told if key != "then"]
    if len(happens) > 1:
        raise BadScenario(f"{where}: one thing happens at a time, not {happens}")
    step = Step(number, then=_then(where, told["then"], actors) if "then" in told else {})
    if happens:
        step.subject = happens[0]
        _happens(where, step, told[happens[0]], actors)
    return step


def _happens(where: str, step: Step, what: Any, actors: dict[str, int]) -> None:
    subject = step.subject
    release = re.fullmatch(r"(\w+)'s (\w+)", subject)
    if subject in actors:
        step.kind = "actor"
        step.verb, step.how = next(iter(what.items())) if isinstance(what, dict) and len(what) == 1 else (what, {})
        if not isinstance(step.verb, str) or step.verb not in VERBS:
            raise BadScenario(f"{where}: {subject} cannot {step.verb!r}; she can {list(VERBS)}")
        _keys(where, step.how, VERBS[step.verb])
        if "raising" in step.how:
            _one_of(where, step.how["raising"], ERRORS)
    elif release and (release[1] in actors or release[1] == "keeper") and release[2] in STAGES:
        step.kind, step.verb = "release", _one_of(where, what, OUTCOMES[:-1])
    elif subject in STAGES:
        step.kind, step.verb = "cue", _one_of(where, what, OUTCOMES)
    elif subject == "clock":
        step.kind, step.verb = "clock", what
        if isinstance(what, bool) or not isinstance(what, (int, float)):
            raise BadScenario(f"{where}: seconds are wanted, not {what!r}")
    elif CONNECTION.fullmatch(subject):
        step.kind, step.verb = "connection", _one_of(where, what, FATES)
    elif SERVER.fullmatch(subject):
        step.kind, step.verb = "server", _one_of(where, what, MOODS)
    else:
        raise BadScenario(f"{where}: unknown actor {subject!r}; the actors: {sorted(actors)}")


def _then(where: str, told: Any, actors: dict[str, int]) -> dict[str, Any]:
    told = _keys(f"{where}, then", told, {*actors, "keeper", "open", "calls", "stats", "told", "time left"})
    for key, value in told.items():
        here = f"{where}, then {key}"
        if key in ("open", "told", "time left"):
            if not isinstance(value, list):
                raise BadScenario(f"{here}: a list is wanted, not {value!r}")
            if key == "told":
                for name in value:
                    _one_of(here, name, EVENTS)
            if key == "open" and not all(re.fullmatch(r"c[1-9]\d*", str(c)) for c in value):
                raise BadScenario(f"{here}: connections are wanted, not {value!r}")
        elif key == "calls":
            _keys(here, value, set(STAGES))
        elif key == "stats":
            _keys(here, value, STATISTICS)
            _keys(here, value.get("closed", {}), set(CLOSE_REASONS))
        elif actors.get(key):
            for state in _keys(here, value, set(value) if isinstance(value, dict) else set()):
                _state(here, state)
        elif isinstance(value, dict):
            _keys(here, value, ACCOUNT)
            for name in {"raises", "because"} & set(value):
                _one_of(here, value[name], ERRORS)
        else:
            _state(here, value)
    return told


def _state(where: str, state: Any) -> None:
    if state not in ERRORS and not STATES.fullmatch(str(state)):
        raise BadScenario(f"{where}: nobody can be {state!r}")


def scenarios(folder: Path) -> Iterator[Scenario]:
    """All scenarios of a folder's YAML files."""
    for path in sorted(folder.glob("*.yaml")):
        if path.name != "elsewhere.yaml":
            yield from load(path)
