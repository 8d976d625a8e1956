"""`Walk` against every order there is, for programs of a few steps: equal sets of results, from fewer runs."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.orders.walk import BEGINS, DROPS, READS, TAKES, WRITES, Ran, Step, Walk, every_order, replay, turns

Op = tuple[str, int]  # what, where
KINDS = {"begin": BEGINS, "read": READS, "write": WRITES, "take": TAKES, "drop": DROPS}


class Toy:
    """Actors that read, write and lock a few words, in Python; the stepped core does it in C."""

    def __init__(self, actors: list[list[Op]]) -> None:
        self.actors = [[("begin", -1), *ops] for ops in actors]
        self.ends: set[Any] = set()

    def __call__(self, plan: bytes, asleep: int) -> Ran:
        at = [0] * len(self.actors)
        words: dict[int, tuple[int, int]] = {}
        held: set[int] = set()
        saw: list[list[Any]] = [[] for _ in self.actors]
        steps: list[Step] = []
        redundant, last = -1, 0

        def coming(who: int) -> Op | None:
            return self.actors[who][at[who]] if at[who] < len(self.actors[who]) else None

        while True:
            nexts = {who: op for who in range(len(at)) if (op := coming(who)) is not None}
            enabled = sum(1 << who for who, (what, where) in nexts.items() if what != "take" or where not in held)
            if not enabled:
                break
            able = enabled & ~(asleep if len(steps) >= len(plan) else 0)
            if len(steps) < len(plan):
                who = plan[len(steps)]
                assert enabled >> who & 1
            else:
                if not able:
                    redundant = len(steps) if redundant < 0 else redundant
                    able = enabled
                who = last if able >> last & 1 else (able & -able).bit_length() - 1
            what, where = nexts[who]
            steps.append(Step(who, enabled, asleep, KINDS[what], where, what))
            if len(steps) >= len(plan):
                for other, op in nexts.items():
                    if other == who or (where == op[1] >= 0 and not what == op[0] == "read"):
                        asleep &= ~(1 << other)
            if what == "read":
                saw[who].append(words.get(where))
            elif what == "write":
                words[where] = (who, at[who])
            elif what == "take":
                held.add(where)
            elif what == "drop":
                held.discard(where)
            at[who] += 1
            last = who
        end = (tuple(sorted(words.items())), tuple(tuple(one) for one in saw), tuple(at))
        self.ends.add(end)
        return Ran(steps, redundant)


def drawn(rng: random.Random) -> list[list[Op]]:
    """2 or 3 actors, together at most 8 steps; every lock is released."""
    actors: list[list[Op]] = []
    for _ in range(rng.choice((2, 3))):
        ops = [(rng.choice(("read", "write")), rng.randrange(2)) for _ in range(rng.choice((1, 2)))]
        if rng.random() < 0.4:
            ops = [("take", 9), *ops, ("drop", 9)]
        actors.append(ops)
    return actors if sum(map(len, actors)) <= 7 else drawn(rng)


@pytest.mark.parametrize("seed", range(30, 55))
def test_a_walk_sees_every_end(seed: int) -> None:
    actors = drawn(random.Random(seed))
    all_of_them, walked = Toy(actors), Toy(actors)
    total = sum(1 for _ in every_order(all_of_them))
    walk = Walk(walked)
    for _ in walk:
        pass
    assert walked.ends == all_of_them.ends
    assert walk.runs <= total


def test_what_commutes_is_run_once() -> None:
    walk = Walk(Toy([[("write", 0), ("read", 1)], [("write", 2), ("read", 1)], [("write", 3)]]))
    assert len(list(walk)) == 1


def test_a_lost_update_is_found() -> None:
    toy = Toy([[("read", 0), ("write", 0)], [("read", 0), ("write", 0)]])
    assert len(list(Walk(toy))) < len(list(every_order(Toy(toy.actors))))
    assert any(one == other == (None,) for _, (one, other), _ in toy.ends), "both read before either wrote"


def test_an_order_is_text_and_back() -> None:
    plan = bytes([0, 0, 1, 0, 2, 2, 2])
    assert replay(plan) == "a2 b1 a1 c3"
    assert turns(replay(plan)) == plan
