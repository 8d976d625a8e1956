"""Which gateway a checkout asks next, and for how long, without gateways: pools that only have figures."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import fastpool
from fastpool.adapters.happybase import gateway_choice
from fastpool.adapters.happybase.gateway_choice import CONNECT_S, PATIENCE_S, Tries, has_room
from fastpool.adapters.happybase.gateway_pools import shares

BUSY = fastpool.NoConnectionsAvailable("busy")
DEADLOCK = fastpool.PoolDeadlock("deadlock")
DOWN = ConnectionRefusedError("down")
GATEWAYS = [("a", 1), ("b", 2), ("c", 3)]


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(gateway_choice, "clock", made)
    return made


def pool(idle: int = 0, leased: int = 0, connecting: int = 0, waiting: int = 0, overflow: int = 0) -> Any:
    """The pool of a gateway with at most two connections."""
    config = SimpleNamespace(max_size=2, max_overflow=overflow)
    return SimpleNamespace(config=config, _counts=lambda: (idle, leased, connecting, waiting, 0, 0, [], []))


def tries(pools: list[Any], preferred: tuple[int, ...], deadline: float, held: tuple[int, ...] = ()) -> Tries:
    def out_of_time(waited: float, refusal: BaseException | None) -> BaseException:
        return fastpool.NoConnectionsAvailable(f"{waited:.3f} s, {refusal!r}")

    def in_order(numbers: list[int]) -> list[int]:
        return sorted(numbers, key=lambda number: pools[number]._counts()[1])

    return Tries(GATEWAYS, pools, preferred, held, in_order, deadline, 0.0, out_of_time)


def test_the_preferred_one_then_those_with_room_by_load(time: Time) -> None:
    asked = tries([pool(leased=2), pool(idle=1, leased=1), pool(connecting=1)], (0,), time.now + 10)
    assert asked.first() == (0, PATIENCE_S)
    time.now += PATIENCE_S
    assert asked.after(BUSY) == (2, CONNECT_S)
    assert asked.after(BUSY) == (1, CONNECT_S)


def test_turns_grow_so_that_the_head_of_a_line_is_reached(time: Time) -> None:
    full = [pool(leased=2)] * 3
    asked = tries(full, (1,), time.now + 1000)
    number, seconds = asked.first()
    turns = []
    for _ in range(12):
        time.now += seconds
        number, seconds = asked.after(BUSY)
        turns.append((number, seconds))
    assert {number for number, _ in turns} == {1}
    assert [later >= earlier for (_, earlier), (_, later) in itertools.pairwise(turns)] == [True] * 11
    assert turns[-1][1] > 1


def test_the_deadline_bounds_every_try(time: Time) -> None:
    asked = tries([pool(leased=2)] * 3, (1,), time.now + 0.08)
    assert asked.first() == (1, PATIENCE_S)
    time.now += PATIENCE_S
    number, seconds = asked.after(BUSY)
    assert number == 1 and seconds == pytest.approx(0.03)
    time.now += seconds
    with pytest.raises(fastpool.NoConnectionsAvailable, match=r"^0\.080 s, None"):
        asked.after(BUSY)


def test_one_that_has_stood_in_line_has_no_more_patience(time: Time) -> None:
    made = Tries(GATEWAYS, [pool(leased=2)] * 3, (1,), (), list, time.now + 9, PATIENCE_S * 2, lambda *_: BUSY)
    assert made.first() == (1, 0.0)


def test_all_refuse(time: Time) -> None:
    asked = tries([pool()] * 3, (2,), time.now + 10)
    assert asked.first() == (2, PATIENCE_S)
    with pytest.raises(fastpool.AllServersUnavailable, match=r"a:1 failed: .*down") as told:
        for _ in range(10):
            asked.after(DOWN)
    assert isinstance(told.value.__cause__, ConnectionRefusedError)


def test_the_rest_is_waited_for_while_others_are_down(time: Time) -> None:
    asked = tries([pool(), pool(leased=2), pool()], (0,), time.now + 10)
    asked.first()
    assert [asked.after(DOWN), asked.after(DOWN), asked.after(DOWN)][-1][0] == 1
    time.now += 10
    with pytest.raises(fastpool.NoConnectionsAvailable, match="ConnectionRefusedError"):
        for error in (BUSY, DOWN, DOWN):
            asked.after(error)


def test_a_deadlock_ends_the_wait_only_if_there_is_nobody_else_to_wait_for(time: Time) -> None:
    asked = tries([pool(leased=2), pool(leased=2), pool()], (0,), time.now + 10)
    asked.first()
    assert asked.after(DEADLOCK)[0] == 2
    assert asked.after(DOWN)[0] == 1, "the one that others hold"
    with pytest.raises(fastpool.PoolDeadlock):
        for error in (DEADLOCK, DOWN):
            asked.after(error)


def test_a_closed_pool_ends_it(time: Time) -> None:
    asked = tries([pool()] * 3, (0,), time.now + 10)
    asked.first()
    with pytest.raises(fastpool.PoolClosed):
        asked.after(fastpool.PoolClosed("closed"))


def test_what_the_caller_has_already_comes_first(time: Time) -> None:
    full = [pool(leased=2)] * 3
    assert tries(full, (), time.now + 10, held=(2,)).first()[0] == 2
    assert tries(full, (2,), time.now + 10, held=(2,)).first()[0] == 2
    asked = tries(full, (0,), time.now + 10, held=(2,))
    assert asked.first()[0] == 0 and asked.after(BUSY)[0] == 2


def test_room() -> None:
    for one in (pool(), pool(idle=2), pool(leased=2, overflow=1), pool(leased=9, overflow=-1)):
        assert has_room(one)
    for one in (pool(leased=2), pool(leased=1, connecting=1), pool(idle=1, waiting=1)):
        assert not has_room(one)


@pytest.mark.parametrize(("total", "parts"), [(0, 3), (1, 3), (7, 3), (9, 3), (5, 1)])
def test_shares_are_whole_and_as_equal_as_can_be(total: int, parts: int) -> None:
    made: Callable[..., list[int]] = shares
    found = made(total, parts)
    assert sum(found) == total and len(found) == parts
    assert max(found) - min(found) <= 1 and found == sorted(found, reverse=True)
