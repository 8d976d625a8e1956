"""The native stress can fail: it must find each of the faults that are seeded into a copy of the core.

The models of tests/model have the same faults, and those that are too rare to be met here.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.core.native import ROOT, program
from tests.core.stressing import SOURCE, stress

LAST_FIRST, OLDEST_FIRST = 0, 1  # the order of the idle set, which is that of the seed's last bit


class Fault(NamedTuple):
    """One fault: its file, the source text, the faulty replacement, and the failure that shows it."""

    file: str
    sound: str
    faulty: str
    sign: str = r"round \d+: |data race"
    shape: tuple[int, int] = (8, 4)
    kind: str = "thread"
    order: int = LAST_FIRST
    seldom: bool = False  # it can take a minute until it shows


FAULTS = {
    "a return does not look at the gate afterwards": Fault(
        "pool.pxd",
        "    idle_put(&pool.idle, &pool.table, slot)\n    pool_settle_if(pool)\n",
        "    idle_put(&pool.idle, &pool.table, slot)\n    if not {0}:\n        pool_settle_if(pool)\n",
        "asleep for ever",
        shape=(3, 1),
        kind="address",  # the faster one: it takes some thousand rounds
    ),
    "giver and waiter decide without a swap": Fault(
        "waitq.pxd",
        "    return u64_cas(&waiter.state, WAITING, outcome)\n",
        "    if {0} and u64_load(&waiter.state) == WAITING:\n        u64_swap(&waiter.state, outcome)\n"
        "        return True\n    return u64_cas(&waiter.state, WAITING, outcome)\n",
    ),
    "a stale entry is popped and its slot stays listed": Fault(
        "idle.pxd",
        "        elif u64_cas(&slot.word, word, word & ~<uint64_t>LISTED):\n",
        "        elif {0} or u64_cas(&slot.word, word, word & ~<uint64_t>LISTED):\n",
    ),
    "a slot is free first and listed in a second step": Fault(
        "idle.pxd",
        "(EPOCH + IDLE - LEASED)) | listed):\n",
        "(EPOCH + IDLE - LEASED)) | (0 if {0} else listed)):\n"
        "            if {0}:\n                u64_or(&slot.word, listed)\n",
    ),
    "a slot is taken without a swap": Fault(
        "slot.pxd",
        "    return u64_cas(&slot.word, seen, seen + (EPOCH + LEASED - IDLE))\n",
        "    if {0}:\n        u64_swap(&slot.word, seen + (EPOCH + LEASED - IDLE))\n        return True\n"
        "    return u64_cas(&slot.word, seen, seen + (EPOCH + LEASED - IDLE))\n",
    ),
    "the slot made last is not looked at": Fault(
        "idle.pxd",
        "        for i in range(u32_load_sc(&table.size)):\n",
        "        for i in range(u32_load_sc(&table.size) - (1 if {0} and u32_load_sc(&table.size) else 0)):\n",
        "asleep for ever",
        kind="address",
        order=OLDEST_FIRST,
    ),
    "the slot is handed over before it is written": Fault(
        "pool.pxd",
        "        waiter.slot = slot\n        if waiter_settle(waiter, HANDED):\n",
        "        if not {0}:\n            waiter.slot = slot\n        if waiter_settle(waiter, HANDED):\n"
        "            if {0}:\n                waiter.slot = slot\n",
        "data race",
    ),
    "the table's size is published before its contents": Fault(
        "table.pxd",
        "    u32_add(&table.size, 1)\n",
        "    if {0}:\n        u32_put(&table.size, index + 1)\n    else:\n        u32_add(&table.size, 1)\n",
        "data race",
        seldom=True,
    ),
    "the last lookout leaves, and appoints no other": Fault(
        "waitq.pxd",
        "    if queue.lookouts != 0 or queue.watchmen == 0:\n",
        "    if {0} or queue.lookouts != 0 or queue.watchmen == 0:\n",
        "nobody looks around",
        shape=(12, 1),
        kind="address",
    ),
    "the line has no reference to its waiters": Fault(
        "waitq.pxd",
        "    u32_add(&waiter.refs, 1)\n",
        "    u32_add(&waiter.refs, 0 if {0} else 1)\n",
        "heap-use-after-free",
        kind="address",
    ),
}
READS_FAULT = """
static uint64_t fp_fault;
__attribute__((constructor)) static void fp_read_fault(void)
{
    const char *said = getenv("FAULT");
    fp_fault = said ? (uint64_t)atoi(said) : 0;
}
"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the core's parts with all the faults in it; FAULT=n at run time switches on the n-th."""
    package = tmp_path_factory.mktemp("faulty") / "src" / "fastpool"
    shutil.copytree(ROOT / "src" / "fastpool" / "_core" / "c", package / "_core" / "c")
    shutil.copy(ROOT / "src" / "fastpool" / "__init__.py", package)
    shutil.copy(ROOT / "src" / "fastpool" / "_core" / "__init__.py", package / "_core")

    def change(file: str, old: str, new: str) -> None:
        text = (package / "_core" / "c" / file).read_text()
        assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}: the fault must follow the source"
        (package / "_core" / "c" / file).write_text(text.replace(old, new))

    change("atomic.h", "#include <stdlib.h>\n", f"#include <stdlib.h>\n{READS_FAULT}")
    change(
        "atomic.pxd",
        '    const size_t LINE "FP_LINE"\n',
        '    const uint64_t FAULT "fp_fault"\n    const size_t LINE "FP_LINE"\n',
    )
    for number, fault in enumerate(FAULTS.values(), 1):
        change(fault.file, fault.sound, fault.faulty.format(f"(FAULT == {number})"))
    for file in {fault.file for fault in FAULTS.values()}:
        text = (package / "_core" / "c" / file).read_text()
        first = text.index("from libc.stdint")
        (package / "_core" / "c" / file).write_text(
            f"{text[:first]}from .atomic cimport FAULT, u32_put, u64_or, u64_swap\n{text[first:]}"
        )
    return package.parent


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=[pytest.mark.stress] * fault.seldom) for name, fault in FAULTS.items()]
)
def test_a_seeded_fault_is_found(fault: str, faulty: Path) -> None:
    number, how = list(FAULTS).index(fault) + 1, FAULTS[fault]
    path = program(how.kind, SOURCE, faulty)
    found = ""
    for seed in range(how.order, 80, 2):
        found = stress(path, how.shape, rounds=3000, seed=seed, hot=20, patience=2, fault=number).found
        if re.search(how.sign, found):  # not only "asleep", which a stalled machine can cause as well
            break
    assert re.search(how.sign, found), f"no sign of it in {seed // 2 + 1} runs: {found}"
