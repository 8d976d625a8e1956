"""The page's protocol alone: its books after a death between any two accesses, and the order of waiters."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.core.native import load

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks of open files are Linux's")
MS = 1_000_000


@pytest.fixture(scope="module")
def probe() -> Any:
    return load("_page_probe", "tests/_page_probe.pyx")


def dies(probe: Any, n: int, work: Callable[[], object]) -> bool:
    """Whether a child that does this work is killed before its n-th access; False: it needs fewer."""
    child = os.fork()
    if child == 0:
        probe.die_before(n)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def ways(page: Any) -> dict[str, Callable[[], object]]:
    return {
        "take": lambda: page.take(0),
        "take and give": lambda: (page.take(0), page.give(0)),
        "give what was there": lambda: page.give(0),
        "clear another": lambda: page.clear(1),
        "after another died": lambda: (page.take(0), page.clear(1), page.take(0), page.give(0)),
        "assignments and needs": lambda: (page.want(0, 2, 5), page.assign(0, 0, 9), page.served(0), page.offer(0, 9)),
    }


@pytest.mark.parametrize("way", list(ways(None)))
def test_the_books_are_right_after_a_death_at_any_access(probe: Any, way: str) -> None:
    n, before = 0, -1
    while n != before:
        before = n
        page = probe.SharedPage(5, 3)
        for row in (0, 1, 1, 2):
            assert page.take(row)
        page.want(2, 1, 3)
        if dies(probe, n, ways(page)[way]):
            n += 1
        out, counts = page.books
        assert out == sum(counts) <= 5, f"killed before access {n}"
        assert counts[2] == 1 and page.take(2) == (out < 5), "others go on"
        page.clear(0)
        page.clear(1)
        assert page.books[0] == page.books[1][2], f"killed before access {n}: nothing of the dead is left"
        while page.take(2):
            pass
        assert page.books == (5, [0, 0, 5]), "all permits can be had again"
    assert n > 5, "it was killed at each access"


def test_two_deaths_in_a_row(probe: Any) -> None:
    """The second dies while it completes what the first began."""
    for first in range(1, 14):
        for second in range(1, 14):
            page = probe.SharedPage(3, 3)
            page.take(1)
            dies(probe, first, lambda page=page: page.take(0))
            dies(probe, second, lambda page=page: (page.give(1), page.take(1)))
            out, counts = page.books
            assert out == sum(counts) <= 3, (first, second)
            page.clear(0), page.clear(1)
            assert page.books[0] == 0, (first, second)


def test_processes_that_race_never_have_more_than_the_cap_and_lose_nothing(probe: Any) -> None:
    page = probe.SharedPage(2, 4)
    children = []
    for row in range(4):
        child = os.fork()
        if child == 0:
            page.many(row, 100_000)
            os._exit(0)
        children.append(child)
    most = 0
    while children:
        out, _ = page.books
        most = max(most, out)
        done, _ = os.waitpid(-1, os.WNOHANG)
        if done:
            children.remove(done)
    assert most <= 2 and page.books == (0, [0] * 4)


def test_a_permit_is_kept_for_those_who_came_before(probe: Any) -> None:
    page = probe.SharedPage(3, 4)
    page.want(1, 2, 100)
    page.want(2, 1, 200)
    assert page.before(0, 300, 400) == 3 and page.before(0, 150, 400) == 2 and page.before(1, 100, 400) == 0
    page.offer(0, 1000)
    assert page.need(1)[2] == 1000 and page.need(2)[2] == 1000, "two and one of three"
    assert page.before(0, 300, 1000 + 100 * MS) == 3
    assert page.before(0, 300, 1001 + 100 * MS) == 0, "a row that does not take its offer is passed over"
    page.served(1)
    assert page.need(1) == (1, 0, 0) and page.before(0, 300, 2000 + 100 * MS) == 1


def test_one_is_freed_for_each_waiter_and_no_more(probe: Any) -> None:
    page = probe.SharedPage(1, 4)
    page.take(0)
    page.want(1, 1, 200)
    page.want(2, 2, 100)
    assigned = [page.assign(0, 0, 300) for _ in range(4)]
    assert [one and one[0] for one in assigned] == [2, 2, 1, None], "the oldest first"
    page.unassign(*assigned[1])
    assert page.assign(3, 0, 300)[0] == 2
    page.want(2, 2, 100, forget=True)
    assert page.need(2) == (2, 0, 0), "what does not come is asked for again"
    page.unassign(*assigned[0])
    assert page.need(2) == (2, 0, 0), "an assignment of before is no longer its"


def test_a_process_with_waiters_of_its_own_yields_to_those_who_came_before_and_waited_for_50_ms(probe: Any) -> None:
    page = probe.SharedPage(1, 2)
    page.take(0)
    page.want(1, 1, 100)
    assert page.assign(0, 150, 100 + 50 * MS) is None, "a moment"
    assert page.assign(0, 50, 101 + 50 * MS) is None, "its own came first"
    assert page.assign(0, 150, 101 + 50 * MS)[0] == 1
