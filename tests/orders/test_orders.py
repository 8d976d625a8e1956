"""The real core, one shared access at a time: in every order of the steps of two or three threads no slot is lost, no
waiter sleeps for ever, waiters are served in order, and every count is exact.

`tests/orders/walk.py` says which orders need not be run because they are equivalent to others.
"""

from __future__ import annotations

import sysconfig
from typing import Any

import pytest

from tests.orders.build import FAULTS
from tests.orders.stepped import play, told

# The first test builds the core; the others take as long as the machine is busy.
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        reason="the steps of a free-threaded build are played on one with the GIL: there an actor that waits for its "
        "turn would hold up the interpreter's own stops of all threads",
    ),
]

# In all orders: the least number of them, so that a walk that misses some is noticed.
WALKED = {
    "ReturnAndWait": 150,
    "TwoBlocks": 400,
    "CancelAndHandOff": 400,
    "FailedConnectAndWait": 800,
    "DiscardAndWait": 100,
    "CloseAndWait": 20,
    "CloseAndBlock": 600,
    "CloseNowAndReturn": 250,
    "ReturnedTwice": 20,
    "PermitsTakenAndGiven": 300,
}
# More orders than a few seconds can hold: the first of the walk, and some drawn by seeds; all of them (of some, the
# first so many) are a stress test.
LONG = ("TimeoutAndHandOff",)
DRAWN = (
    *LONG,
    "GrowAndWait",
    "OwnSlotAgain",
    "OnePermit",
    "TimeoutAtAnyTime",
    "CancelAndNextInLine",
    "CloseAndReturn",
    "ShrinkAndReturn",
    "ShrinkGrowAndWait",
    "ClearAndReturn",
    "FirstComeFirstServed",
    "TwoPoolsOnePermit",
    "GiveAndWait",
    "WaitForIdle",
    "LeaveAndWait",
    "DeathAndWait",
)
# A member of a shared page that is killed before its n-th access.
DEATHS = [f"Dies{n}" for n in range(40)]
# Which scene finds which fault, and how: in all orders, or in so many that are drawn.
FOUND = {
    "a waiter does not look at the free slots again": ("ReturnAndWait", "all"),
    "freeing something does not look at the gate": ("ReturnAndWait", "all"),
    "a hand-off is decided in two steps": ("CancelAndHandOff", "all"),
    "a slot that comes with the cancellation is dropped": ("CancelAndHandOff", "all"),
    "a lease is ended in two steps": ("ReturnedTwice", "all"),
    "a failed connect keeps its permit": ("FailedConnectAndWait", "all"),
    "a larger pool does not serve the waiters": ("GrowAndWait", "all"),
    "the last in line is served first": ("FirstComeFirstServed", "200"),
    "a new waiter does not see that the pool is closed": ("CloseAndWait", "all"),
    "a return does not see that the pool is closed": ("CloseAndReturn", "all"),
    "a slot is published, and listed, in two steps": ("OwnSlotAgain", "all"),
    "a shared permit is taken in two steps": ("PermitsTakenAndGiven", "all"),
    "a change of the page is not completed by the next": ("Dies17", "first:200"),
    "a shared permit that is free is offered to nobody": ("GiveAndWait", "first:200"),
    "a watcher sleeps though it was called while it looked": ("LeaveAndWait", "first:200"),
    "a row is cleared without a look at its lock": ("Dies39", "first:200"),
    "the search for a deadlock reads the entry of a slot that has none": ("DeathAndWait", "first:3000"),
}


def good(said: list[dict[str, Any]], *scenes: str) -> None:
    assert [one["scene"] for one in said] == list(scenes)
    for one in said:
        assert one["failed"] is None, told(one)


@pytest.mark.parametrize("scene", WALKED)
def test_all_orders(scene: str) -> None:
    (said,) = play("all", scene)
    good([said], scene)
    assert said["runs"] >= WALKED[scene], "so few orders cannot be all"


def test_a_death_before_any_access_to_a_shared_page() -> None:
    good(play("first:8", *DEATHS), *DEATHS)


@pytest.mark.stress
@pytest.mark.timeout(1200)
def test_all_orders_with_a_death_before_any_access_to_a_shared_page() -> None:
    said = play("all", *DEATHS, patience=1100)
    good(said, *DEATHS)
    assert min(one["runs"] for one in said) >= 70, "so few orders cannot be all"


@pytest.mark.parametrize("scene", LONG)
def test_the_first_orders(scene: str) -> None:
    good(play("first:1500", scene), scene)


def test_orders_drawn_by_seeds() -> None:
    good(play("60", *DRAWN), *DRAWN)


@pytest.mark.stress
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("scene", DRAWN)
def test_many_more_orders(scene: str) -> None:
    good(play("first:12000", scene, patience=600), scene)
    good(play("5000", scene, patience=600), scene)


@pytest.mark.parametrize("number", range(1, len(FAULTS) + 1), ids=lambda number: FAULTS[number - 1].name)
def test_a_fault_is_found(number: int) -> None:
    scene, how = FOUND[FAULTS[number - 1].name]
    (said,) = play(how, scene, fault=number)
    assert said["failed"] is not None, f"{said['runs']} orders of {scene}, and nothing went wrong"
    (again,) = play(said["failed"]["order"], scene, fault=number)
    assert again["failed"] is not None, "the order that it told does not show it again"
    assert again["failed"]["order"] == said["failed"]["order"]
    (sound,) = play(said["failed"]["order"], scene)
    assert sound["failed"] is None or "not repeatable" in sound["failed"]["why"], "it is not the fault that does it"
