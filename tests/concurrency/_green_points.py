"""Greenlets that are killed or timed out at every point, a hub that must never block, a checkin that must never switch.

``python _green_points.py gevent|eventlet CASE before|after|never`` prints "well"; the last argument says when
monkey-patching happens: before the pool is made, after it, or never.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import greenlet

from tests.concurrency._green import api_of, arguments, patch

library, case, when = arguments()
if when == "before":
    patch(library)

import fastpool  # noqa: E402
from tests._slots import in_hand  # noqa: E402
from tests.concurrency._green_parts import Parts  # noqa: E402


class Thing:
    """A connection that records its close."""

    users = 0
    closed = False

    def close(self) -> None:
        self.closed = True


class Stages:
    """The driver call that sleeps at present, and the connections that were opened."""

    holds = ""
    reached = False
    made: list[Thing]

    def at(self, stage: str) -> None:
        if stage == self.holds:
            self.reached = True
            api.sleep(60)

    def connect(self) -> Thing:
        self.at("connecting")
        self.made.append(Thing())
        return self.made[-1]

    def check(self, c: Thing) -> bool:
        self.at("checking")
        return True

    def reset(self, c: Thing) -> None:
        self.at("resetting")


stages = Stages()
stages.made = []
pool = fastpool.Pool(
    stages.connect, check=stages.check, reset=stages.reset, check_after=0, max_size=1, max_connecting=1, timeout=20
)
# Without check and reset, so that the fast paths are used
plain = fastpool.Pool(Thing, max_size=2, max_connecting=1, timeout=20)
for one in (pool, plain):
    with one.connection():
        pass  # the main greenlet uses the pool before anything is patched
if when == "after":
    patch(library)
api = api_of(library)
parts = Parts(pool, api.sleep)
soon = parts.soon


def struck_by(
    how: str, work: Callable[[], Any], seconds: float | None = None
) -> tuple[Any, Callable[[], None], list[str]]:
    """A greenlet at work, a function that kills it or times it out, and a list with its outcome.

    ``seconds``: when its Timeout expires by itself; otherwise the function does what its timer would do.
    """
    ended: list[str] = []
    limits: list[Any] = []

    def live() -> None:
        try:
            if how == "kill":
                work()
            else:
                with api.Timeout(seconds) as limit:
                    limits.append(limit)
                    work()
        except api.Timeout:
            ended.append("timed out")
        except BaseException as error:
            ended.append(type(error).__name__)
            raise
        else:
            ended.append("came through")

    one = api.spawn(live)
    return one, (lambda: api.kill(one)) if how == "kill" else (lambda: api.in_hub(one.throw, limits[0])), ended


def whole(of: Any) -> bool:
    s = of.stats()
    return (s.leased, s.connecting, s.waiting) == (0, 0, 0) and s.idle == len(of) and not in_hand(of)


def case_at_every_stage() -> None:
    """A greenlet is killed and timed out while waiting, connecting, checking, resetting and holding."""

    def block() -> None:
        with pool.connection():
            stages.at("holding")

    for stage in ("waiting", "connecting", "checking", "resetting", "holding"):
        for how in ("kill", "timeout"):
            if stage == "connecting":
                pool.clear()
                soon(lambda: len(pool) == 0)
            else:
                with pool.connection():
                    pass
            held = pool.checkout() if stage == "waiting" else None
            stages.holds, stages.reached = stage, False
            before = pool.stats()
            _, strike, ended = struck_by(how, block)
            soon(lambda held=held: stages.reached or (held is not None and pool.stats().waiting == 1))
            assert ended == []
            strike()
            soon(lambda ended=ended: ended != [])
            assert ended == (["GreenletExit"] if how == "kill" else ["timed out"]), (stage, how, ended)
            stages.holds = ""
            if held is not None:
                after = pool.stats()
                assert (after.waiting, after.cancelled) == (0, before.cancelled + 1), (stage, how, after)
                pool.checkin(held)
            soon(lambda: whole(pool))
            open_now = [c for c in stages.made if not c.closed]
            assert len(open_now) == len(pool), (stage, how, pool)
            assert len(pool) == (stage == "waiting"), "what was cut short costs the connection, and nothing else does"
            with pool.connection(timeout=1) as c:
                assert not c.closed


def case_at_the_very_hand_off() -> None:
    """A slot is handed to a greenlet that is killed or timed out before it could run: the next in line gets the
    slot."""
    for how in ("kill", "timeout"):
        met, seconds = 0, 0.02
        for _ in range(20):
            held = [plain.checkout(), plain.checkout()]
            served: list[str] = []

            def take(who: str, served: list[str] = served) -> None:
                with plain.connection(timeout=None):
                    served.append(who)

            began = time.monotonic()
            given: list[bool] = []

            def give(
                how: str = how, held: list[Any] = held, given: list[bool] = given, seconds: float = seconds
            ) -> None:
                if how == "timeout":
                    api.sleep(seconds / 2)  # due before the Timeout, in the same iteration of the hub
                given.append(plain.stats().waiting == 2)
                plain.checkin(held.pop())

            api.spawn(give) if how == "timeout" else None
            first, strike, ended = struck_by(how, lambda: take("first"), seconds)
            # On a slow machine a Timeout may have expired already: such a round proves less, and the next one has more
            # time.
            soon(lambda given=given, ended=ended: plain.stats().waiting == 1 or bool(given or ended))
            second = api.spawn(take, "second")
            soon(lambda given=given, ended=ended: plain.stats().waiting == 2 or bool(given or ended))
            if how == "kill":
                api.spawn(give)  # in the same iteration of the hub, and before it
                strike()
            else:
                while time.monotonic() < began + seconds * 1.1:
                    pass  # the hub does not run meanwhile: both are due in its next iteration
            soon(lambda first=first, second=second: api.dead(first) and api.dead(second))
            assert served in (["second"], ["first", "second"]), served
            met += given == [True] and "first" not in served
            seconds = seconds if met else min(seconds * 1.5, 0.5)
            plain.checkin(held.pop())
            assert whole(plain), plain
            assert plain.stats().connects == 2, "nothing was broken"
        assert met > 0, f"{how} and hand-off never met"


def case_the_hub_runs_on() -> None:
    """The hub goes on while one greenlet connects and another waits for a permit to connect."""
    go = [False]

    def connect() -> Thing:
        while not go[0]:
            api.sleep(0)
        return Thing()

    slow = fastpool.Pool(connect, max_size=3, max_connecting=1, timeout=20)
    ends: list[str] = []

    def use() -> None:
        with slow.connection():
            ends.append("used")

    for _ in range(2):
        api.spawn(use)
    soon(lambda: slow.stats().waiting == 1 and slow.stats().connecting == 1)
    for _ in range(200):
        api.sleep(0)
    assert ends == [] and slow.stats().connecting == 1
    go[0] = True
    soon(lambda: ends == ["used", "used"])


def case_the_hub_runs_on_while_a_pool_is_warmed_and_closed() -> None:
    """The hub goes on while a greenlet warms a pool for which another connects, and while one closes it and waits for
    leases."""
    go = [False]

    def connect() -> Thing:
        while not go[0]:
            api.sleep(0)
        return Thing()

    slow = fastpool.Pool(connect, max_size=2, max_connecting=1, timeout=20)
    ends: list[str] = []
    api.spawn(lambda: ends.append(f"warm {slow.warm(1)}"))
    soon(lambda: slow.stats().connecting == 1)
    api.spawn(lambda: ends.append(f"warm {slow.warm()}"))
    for _ in range(200):
        api.sleep(0)
    assert ends == []
    go[0] = True
    soon(lambda: sorted(ends) == ["warm 1", "warm 2"] or ends == ["warm 2", "warm 2"])
    c = slow.checkout()
    api.spawn(lambda: ends.append(f"closed {slow.close(timeout=15)}"))
    soon(lambda: slow.closed)
    slow.checkin(c)
    soon(lambda: "closed None" in ends)
    assert c.closed


def switches_of_a_checkin(options: dict[str, Any], end: str, waiters: str) -> list[Any]:
    """Check out, let a waiter queue, and return the connection in one way: the switches that happened meanwhile."""
    one = fastpool.Pool(Thing, **{"max_size": 1, "timeout": 20, **options})
    switches: list[Any] = []
    served: list[int] = []

    def wait() -> None:
        with one.connection():
            served.append(1)

    def wait_in_a_hub() -> None:
        green_one = api.spawn(wait)
        while not api.dead(green_one):
            api.sleep(0.001)
        api.end_of_thread()

    lease = one.connection() if "block" in end else None
    c = lease.__enter__() if lease is not None else one.checkout()
    if waiters == "here":
        api.spawn(wait)
    elif waiters != "none":
        api.start_thread(wait_in_a_hub if waiters == "another hub" else wait, ())
    if waiters != "none":
        soon(lambda: one.stats().waiting == 1 or bool(served))
    here = threading.get_ident()
    greenlet.settrace(lambda event, args: switches.append(event) if threading.get_ident() == here else None)
    try:
        if lease is None:
            one.checkin(c, discard=end == "discarding")
        elif end == "block":
            lease.__exit__(None, None, None)
        else:
            lease.__exit__(KeyError, KeyError(), None)
    finally:
        greenlet.settrace(None)
    soon(lambda: (waiters == "none" or served == [1]) and one.stats().leased == 0)
    one.close()
    return switches


def case_no_switch_in_a_checkin() -> None:
    """No checkin switches greenlets: handing over, closing, resetting, calling listeners; for every kind of waiter."""
    told: list[Any] = []
    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        "max_uses": {"max_uses": 1},
        "max_idle": {"max_idle": 0},
        "reset": {"reset": lambda c: None},
        "listeners": {"listeners": [{"checked_in": told.append, "closed_connection": told.append}]},
        "keeper": {"min_size": 1, "idle_timeout": 60, "leak_after": 60},
    }
    for way, options in ways.items():
        for end in ("block", "failing block", "by hand", "discarding"):
            for waiters in ("none", "here", "another hub", "a thread"):
                assert switches_of_a_checkin(options, end, waiters) == [], (way, end, waiters)
    assert told


globals()["case_" + case]()
soon(lambda: whole(pool) and whole(plain))
pool.checkin(pool.checkout(timeout=1))
both = [plain.checkout(timeout=1), plain.checkout(timeout=1)]
assert both[0] is not both[1]
for one in both:
    plain.checkin(one)
print("well")
