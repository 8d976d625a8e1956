"""Checks that every memory order in the source is strong enough, and that those the protocol rests on are needed.

Each program below is one place of the source where two threads meet, with the orders that the source has there; the
explorer runs it in every way that C11 allows. Then each order is weakened, one at a time, and the bad outcome must
appear: this shows that the order is needed, and that the explorer notices. `docs/core.md` names these places.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.model.explorer import (
    ACQ_REL,
    ACQUIRE,
    NA,
    RACE,
    RELAXED,
    RELEASE,
    SEQ_CST,
    Access,
    Read,
    Steps,
    Swap,
    Thread,
    Write,
    outcomes,
)

Orders = dict[str, str]
Place = Callable[[Orders], tuple[list[Thread], Callable[[Any], bool]]]

CORE = Path(__file__).parents[2] / "src" / "fastpool" / "_core" / "c"
LEASED, IDLE, LISTED = "leased", "idle", "listed"


def count_up(v: int) -> int:
    return v + 1


def thread_of(*accesses: Access) -> Thread:
    """A straight line of accesses; it returns what the last one read."""

    def thread() -> Steps:
        told = None
        for access in accesses:
            told = yield access
        return told

    return thread


def second_look(publish: Access, look: Callable[[Any], bool]) -> Place:
    """Store buffering: the waiter counts itself and looks at a set; the other publishes and looks at the gate."""

    def place(o: Orders) -> tuple[list[Thread], Callable[[Any], bool]]:
        waiter = thread_of(Swap("gate", count_up, o["register"]), Read(publish.loc, o["look"]))
        strong = (
            Write(publish.loc, publish.change(0), o["publish"].removeprefix("store "))
            if isinstance(publish, Swap) and o["publish"].startswith("store ")
            else Swap(publish.loc, publish.change, o["publish"])  # type: ignore[union-attr]
        )
        returner = thread_of(strong, Read("gate", o["look again"]))
        return [waiter, returner], lambda found: not look(found[0]) and found[1] == 0

    return place


SECOND_LOOK = {"register": SEQ_CST, "look": SEQ_CST, "publish": SEQ_CST, "look again": SEQ_CST}
WEAK_SECOND_LOOK = [
    ("register", ACQ_REL),
    ("look", ACQUIRE),
    ("publish", ACQ_REL),
    ("publish", f"store {RELEASE}"),
    ("look again", ACQUIRE),
]


def retaken(o: Orders) -> tuple[list[Thread], Callable[[Any], bool]]:
    """The slot's entry stands in the stack: the waiter unlists it while the returner publishes on the same word."""

    def waiter() -> Steps:
        yield Swap("gate", count_up, o["register"])
        # pops the entry (not shown: nobody else touches the head before it is pushed again)
        word = yield Swap("word", lambda w: LEASED if w == (IDLE, LISTED) else "leased, unlisted", SEQ_CST)
        if word == (IDLE, LISTED):
            return True
        return bool((yield Read("head", o["look"])))

    def returner() -> Steps:
        word = yield Swap("word", lambda w: (IDLE, LISTED), SEQ_CST)
        if word == "leased, unlisted":
            yield Swap("head", count_up, o["publish"])
        return (yield Read("gate", o["look again"]))

    return [waiter, returner], lambda found: not found[0] and found[1] == 0


def hand_off(o: Orders) -> tuple[list[Thread], Callable[[Any], bool]]:
    """Message passing: `waiter.slot` is a plain field, written before HANDED and read after it."""

    def giver() -> Steps:
        yield Write("slot", "s", NA)
        return (yield Swap("state", lambda v: "handed" if v == 0 else None, o["hand"], ACQUIRE))

    def waiter() -> Steps:
        if (yield Swap("state", lambda v: "timed out" if v == 0 else None, SEQ_CST, o["quit, lost"])) == 0:
            return None
        yield Read("state", o["load"])
        yield Swap("state", lambda v: "taken" if v == "handed" else None, o["take"], o["take"])
        return (yield Read("slot", NA))

    return [giver, waiter], lambda found: found[1] not in (None, "s")


def lease(o: Orders) -> tuple[list[Thread], Callable[[Any], bool]]:
    """A lease's plain writes to its slot (`uses`, `born_ns` …) are seen by the next lease of it."""

    def holder() -> Steps:
        yield Write("uses", 1, NA)
        yield Swap("word", lambda v: IDLE, o["publish"])

    def taker() -> Steps:
        if (yield Read("word", o["load"])) != IDLE:
            return None
        yield Swap("word", lambda v: LEASED if v == IDLE else None, o["grab"], RELAXED)
        return (yield Read("uses", NA))

    return [holder, taker], lambda found: found[1] == 0


def stack_link(o: Orders) -> tuple[list[Thread], Callable[[Any], bool]]:
    """The link of an entry is relaxed: a thread that has seen the head that was swapped in sees the link, too."""

    def pusher() -> Steps:
        head = yield Read("head", ACQUIRE)
        yield Write("next", f"below: {head}", RELAXED)
        yield Swap("head", lambda v: 1 if v == head else None, o["push"])

    def popper() -> Steps:
        head = yield Read("head", o["load"])
        if not head:
            return None
        link = yield Read("next", RELAXED)
        popped = yield Swap("head", lambda v: 0 if v == head else None, SEQ_CST)
        return link if popped == head else None

    return [pusher, popper], lambda found: found[1] == 0


def last_reference(o: Orders) -> tuple[list[Thread], Callable[[Any], bool]]:
    """The waiter's memory: the last to drop its reference frees it (a plain write), after all accesses of the other."""

    def holder(field: str) -> Thread:
        def thread() -> Steps:
            yield Read(field, NA)
            if (yield Swap("refs", lambda v: v + 1, o["drop"])) == 1:  # counted up here, from 0: the second is the last
                yield Write("giver's", "freed", NA)
                yield Write("waiter's", "freed", NA)

        return thread

    return [holder("giver's"), holder("waiter's")], lambda found: False


def table_growth(o: Orders) -> tuple[list[Thread], Callable[[Any], bool]]:
    """A chunk's address is plain; a thread that sees the size that reaches into it sees the address."""

    def grower() -> Steps:
        yield Write("chunk", "address", NA)
        yield Write("size", 9, o["store"])

    def walker() -> Steps:
        if (yield Read("size", o["load"])) < 9:
            return "address"
        return (yield Read("chunk", NA))

    return [grower, walker], lambda found: found[1] != "address"


def more_permits(o: Orders) -> tuple[list[Thread], Callable[[Any], bool]]:
    """resize raises max_connecting by a plain release store; its RMW on the gate itself (the flags) then decides."""
    waiter = thread_of(Swap("gate", count_up, SEQ_CST), Read("max", o["look"]))
    resizer = thread_of(Write("max", 1, o["store"]), Swap("gate", lambda v: v, o["flags"]), Read("gate", SEQ_CST))
    return [waiter, resizer], lambda found: found[0] == 0 and found[1] == 0


def seen(value: Any) -> bool:
    return bool(value)


# place: (program, the source's orders, [(which order, what it is weakened to)])
PLACES: dict[str, tuple[Place, Orders, list[tuple[str, str]]]] = {
    "an idle slot is pushed": (second_look(Swap("head", count_up, SEQ_CST), seen), SECOND_LOOK, WEAK_SECOND_LOOK),
    "a vacant slot is pushed": (second_look(Swap("vacant", count_up, SEQ_CST), seen), SECOND_LOOK, WEAK_SECOND_LOOK),
    "a permit comes back": (second_look(Swap("connecting", count_up, SEQ_CST), seen), SECOND_LOOK, WEAK_SECOND_LOOK),
    "the limit is raised": (second_look(Swap("limit", count_up, SEQ_CST), seen), SECOND_LOOK, WEAK_SECOND_LOOK),
    "a slot is swallowed": (second_look(Swap("active", count_up, SEQ_CST), seen), SECOND_LOOK, WEAK_SECOND_LOOK),
    "the pool is closed": (second_look(Swap("word", count_up, SEQ_CST), seen), SECOND_LOOK, WEAK_SECOND_LOOK),
    "an entry is unlisted while its slot comes back": (
        retaken,
        {"register": SEQ_CST, "look": SEQ_CST, "publish": SEQ_CST, "look again": SEQ_CST},
        [],
    ),
    "a slot is handed over": (
        hand_off,
        {"hand": SEQ_CST, "load": ACQUIRE, "take": SEQ_CST, "quit, lost": SEQ_CST},
        [("hand", RELAXED), ("hand", ACQUIRE)],
    ),
    "a lease ends and the next begins": (
        lease,
        {"publish": SEQ_CST, "load": ACQUIRE, "grab": SEQ_CST},
        [("publish", RELAXED), ("publish", ACQUIRE)],
    ),
    "an entry is linked": (stack_link, {"push": SEQ_CST, "load": ACQUIRE}, [("push", RELAXED), ("load", RELAXED)]),
    "a waiter is freed": (last_reference, {"drop": SEQ_CST}, [("drop", RELAXED), ("drop", ACQUIRE), ("drop", RELEASE)]),
    "the table grows": (table_growth, {"store": RELEASE, "load": ACQUIRE}, [("store", RELAXED), ("load", RELAXED)]),
    "more may connect": (
        more_permits,
        {"store": RELEASE, "look": SEQ_CST, "flags": SEQ_CST},
        [("flags", ACQUIRE), ("flags", RELAXED)],
    ),
}


def bad(program: Place, orders: Orders) -> set[Any]:
    threads, is_bad = program(orders)
    return {found for found in outcomes(*threads) if found == RACE or is_bad(found)}


@pytest.mark.parametrize("place", PLACES)
def test_the_orders_of_the_source_suffice(place: str) -> None:
    program, orders, _ = PLACES[place]
    assert bad(program, orders) == set()


@pytest.mark.parametrize(
    ("place", "which", "weaker"), [(place, which, to) for place, (_, _, weak) in PLACES.items() for which, to in weak]
)
def test_a_weaker_order_is_caught(place: str, which: str, weaker: str) -> None:
    program, orders, _ = PLACES[place]
    assert bad(program, {**orders, which: weaker}) != set(), f"{place}: {which} could as well be {weaker}"


@pytest.mark.parametrize("weak", [("load", "take", "quit, lost")])
def test_the_waiter_must_acquire_somewhere(weak: tuple[str, ...]) -> None:
    """A waiter looks at its word several times; one acquire among them is enough, none is not."""
    program, orders, _ = PLACES["a slot is handed over"]
    assert bad(program, {**orders, **dict.fromkeys(weak, RELAXED)}) == {RACE}
    for one in weak:
        assert bad(program, {**orders, **dict.fromkeys(set(weak) - {one}, RELAXED)}) == set()


def test_the_taker_must_acquire_somewhere() -> None:
    program, orders, _ = PLACES["a lease ends and the next begins"]
    assert bad(program, {**orders, "load": RELAXED, "grab": RELAXED}) == {RACE}


# The facts about the source that the programs assume: a changed order of an access there must be checked here.
SOURCE = {
    "atomic.h": [
        r"fp_##N##_load\(const T \*p\) \{.*__ATOMIC_ACQUIRE",
        r"fp_##N##_store\(T \*p, T v\) \{.*__ATOMIC_RELEASE",
        r"fp_##N##_load_sc\(const T \*p\) \{.*__ATOMIC_SEQ_CST",
        r"fp_##N##_swap\(T \*p, T v\) \{.*__ATOMIC_SEQ_CST",
        r"fp_##N##_add\(T \*p, T v\) \{.*__ATOMIC_SEQ_CST",
        r"__atomic_compare_exchange_n\(p, &seen, want, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST\)",
    ],
    "idle.pxd": [
        r"inline [\w *]+\bidle_take\([\s\S]*?head = u64_load_sc\(&idle\.head\)",
        r"inline [\w *]+\bvacant_take\([\s\S]*?head = u64_load_sc\(stack\)",
        r"inline [\w *]+\bidle_push\([\s\S]*?u32_put\(&slot\.next_idle[\s\S]*?u64_cas\(&idle\.head",
        r"\bidle_publish\(Idle[\s\S]*?u64_cas\(&slot\.word, word, \(\(word & ~<uint64_t>ENDING\) \+ \(EPOCH",
    ],
    "room.pxd": [
        r"seen = u32_load_sc\(&pool\.connecting\)",
        r"seen >= u32_load_sc\(&pool\.max_connecting\)",
        r"inline [\w *]+\bpool_permit_drop\([\s\S]*?u32_add\(&pool\.connecting",
    ],
    "pool.pxd": [
        r"u32_load_sc\(&pool\.active\) < u32_load_sc\(&pool\.limit\)",
        r"<uint32_t>u64_load_sc\(&pool\.vacant\) != 0",
        r"while u64_load_sc\(&pool\.gate\) & QUEUED_MASK",
        r"if u64_load_sc\(&pool\.gate\) & QUEUED_MASK:\s+pool_settle\(pool\)",
        r"waiter\.slot = slot\s+if waiter_settle\(waiter, HANDED\)",
    ],
    "waitq.pxd": [
        r"before = u64_add\(gate, 1\)",
        r"u64_cas\(&waiter\.state, WAITING, outcome\)",
        r"u64_load\(&waiter\.state\) == HANDED and u64_cas\(&waiter\.state, HANDED, TAKEN\):\s+return waiter\.slot",
        r"if u32_add\(&waiter\.refs, <uint32_t>-1\) == 1",
    ],
    "../retire.pxi": [r"\bretire_idle\([\s\S]*?word = u64_load_sc\(&slot\.word\)"],
    "table.pxd": [r"u32_add\(&table\.size, 1\)"],
}


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in SOURCE.items() for line in lines])
def test_the_source_has_these_orders(name: str, line: str) -> None:
    assert re.search(line, (CORE / name).read_text()), (
        f"{name} no longer has {line}: bring the programs here in agreement"
    )
