"""The explorer against litmus tests whose verdicts are in the literature: what it must forbid, and what it must
allow."""

from __future__ import annotations

import pytest

from tests.model.explorer import (
    ACQ_REL,
    ACQUIRE,
    NA,
    RACE,
    RELAXED,
    RELEASE,
    SEQ_CST,
    Read,
    Steps,
    Swap,
    Thread,
    Write,
    outcomes,
)


def two(write: str, read: str, mine: str, yours: str) -> Thread:
    def thread() -> Steps:
        yield Write(mine, 1, write)
        return (yield Read(yours, read))

    return thread


@pytest.mark.parametrize(
    ("write", "read", "allowed"),
    [
        (RELAXED, RELAXED, True),
        (RELEASE, ACQUIRE, True),
        (SEQ_CST, ACQUIRE, True),
        (RELEASE, SEQ_CST, True),
        (SEQ_CST, SEQ_CST, False),
    ],
)
def test_store_buffering(write: str, read: str, allowed: bool) -> None:
    found = outcomes(two(write, read, "x", "y"), two(write, read, "y", "x"))
    assert {(0, 1), (1, 0), (1, 1)} <= found
    assert ((0, 0) in found) is allowed


@pytest.mark.parametrize(
    ("store", "load", "good"),
    [(RELEASE, ACQUIRE, True), (RELAXED, ACQUIRE, False), (RELEASE, RELAXED, False), (SEQ_CST, SEQ_CST, True)],
)
def test_message_passing(store: str, load: str, good: bool) -> None:
    def writer() -> Steps:
        yield Write("data", 1, NA)
        yield Write("flag", 1, store)

    def reader() -> Steps:
        if (yield Read("flag", load)):
            return (yield Read("data", NA))
        return None

    found = outcomes(writer, reader)
    assert found == {(None, None), (None, 1)} if good else RACE in found


def test_a_release_sequence_goes_through_read_modify_writes() -> None:
    def writer() -> Steps:
        yield Write("data", 1, NA)
        yield Write("flag", 1, RELEASE)

    def passer() -> Steps:
        yield Swap("flag", lambda v: v + 1 if v else None, RELAXED, RELAXED)

    def reader() -> Steps:
        if (yield Read("flag", ACQUIRE)) == 2:
            return (yield Read("data", NA))
        return None

    found = outcomes(writer, passer, reader)
    assert RACE not in found and (None, None, 1) in found


def test_one_location_is_coherent_even_when_relaxed() -> None:
    def writer() -> Steps:
        yield Write("x", 1, RELAXED)
        yield Write("x", 2, RELAXED)

    def reader() -> Steps:
        first = yield Read("x", RELAXED)
        return first, (yield Read("x", RELAXED))

    seen = {pair for _, pair in outcomes(writer, reader)}
    assert seen == {(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)}


def test_read_modify_writes_lose_nothing() -> None:
    def adder() -> Steps:
        return (yield Swap("x", lambda v: v + 1, RELAXED))

    assert {tuple(sorted(found)) for found in outcomes(adder, adder, adder)} == {(0, 1, 2)}


@pytest.mark.parametrize(("order", "allowed"), [(ACQUIRE, True), (SEQ_CST, False)])
def test_independent_reads_of_independent_writes(order: str, allowed: bool) -> None:
    def writer(loc: str) -> Thread:
        def thread() -> Steps:
            yield Write(loc, 1, SEQ_CST)

        return thread

    def reader(first: str, second: str) -> Thread:
        def thread() -> Steps:
            one = yield Read(first, order)
            return one, (yield Read(second, order))

        return thread

    found = outcomes(writer("x"), writer("y"), reader("x", "y"), reader("y", "x"))
    assert ((None, None, (1, 0), (1, 0)) in found) is allowed


def test_two_plus_two_writes() -> None:
    def writer(first: str, second: str, order: str) -> Thread:
        def thread() -> Steps:
            yield Write(first, 1, order)
            yield Write(second, 2, order)
            return (yield Read(second, RELAXED))

        return thread

    def run(order: str) -> bool:
        return (1, 1) in outcomes(writer("x", "y", order), writer("y", "x", order))

    assert run(RELEASE) and not run(SEQ_CST)


def test_nothing_comes_out_of_thin_air() -> None:
    def thread(source: str, target: str) -> Thread:
        def steps() -> Steps:
            value = yield Read(source, RELAXED)
            yield Write(target, value, RELAXED)
            return value

        return steps

    assert outcomes(thread("x", "y"), thread("y", "x")) == {(0, 0)}


def test_a_spinning_read_waits() -> None:
    def writer() -> Steps:
        yield Write("x", 1, RELEASE)

    def spinner() -> Steps:
        return (yield Read("x", ACQUIRE, wait=bool))

    assert outcomes(writer, spinner) == {(None, 1)}


@pytest.mark.parametrize(("order", "races"), [(RELAXED, True), (ACQ_REL, False)])
def test_a_lock_made_of_swaps(order: str, races: bool) -> None:
    def thread() -> Steps:
        yield Read("lock", RELAXED)
        if (yield Swap("lock", lambda v: 1 if v == 0 else None, order, RELAXED)) != 0:
            return "busy"
        yield Write("data", 1, NA)
        yield Write("lock", 0, RELEASE if order == ACQ_REL else RELAXED)
        return "done"

    assert (RACE in outcomes(thread, thread)) is races
