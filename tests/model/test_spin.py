"""The protocol as models: Spin checks every interleaving of the models beside this file.

Each true model must pass, and each seeded fault (a -D of the model that removes one step of the protocol) must be
caught with a counterexample; a model that catches nothing would prove nothing. `docs/core.md` explains the protocol
beside the models.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent

pytestmark = pytest.mark.timeout(300)

TRUE = [
    "freeset",
    "freeset SLOTS=2",
    "freeset ROUNDS=2",
    "waitline",
    "waitline LOOPS",
    "room HOLDER",
    "room LIMIT=1",
    "room HOLDER GROW LIMIT=1 CLIENTS=2",
    "room SHRINK CLIENTS=2",
    "room SHRINK GROW CLIENTS=2",
    "room CLOSE CLIENTS=2",
    "room CLOSE HOLDER LIMIT=1 CLIENTS=2",
    "lease",
    "lease OTHERS=3",
    "lookout",
    "lookout LOOKOUTS=2",
    "lookout CLOSE CLIENTS=2",
    "lookout CLOSE CLIENTS=2 TASKS=0",
    "fork",
    "shared",
    "shared CAP=2",
    "shared DEATHS=2",
]

# The last word is the fault.
SEEDED = [
    # the set of free slots
    "freeset LISTED_IN_TWO_STEPS",
    "freeset SLOTS=2 NO_TAG",
    "freeset RETAKE_WITHOUT_CAS",
    "freeset STALE_ENTRY_TAKEN",
    "freeset STALE_ENTRY_STAYS_LISTED",
    "freeset UNLIST_WITHOUT_CAS",
    "freeset PUBLISH_WITHOUT_CAS",
    "freeset PUSH_ALWAYS",
    # registration and the second look
    "waitline NO_RECHECK",
    "waitline LOOK_BEFORE_ENLIST",
    "waitline NO_LOOK_AFTER_PUBLISH",
    "waitline LOOK_BEFORE_PUBLISH",
    "waitline SETTLE_KEEPS",
    "waitline COUNT_NOT_TAKEN_BACK",
    "waitline COUNT_TAKEN_BACK_TWICE",
    # a waiter's word decides the hand-off
    "waitline NO_CAS_TAKE",
    "waitline NO_CAS_HAND",
    "waitline NO_CAS_QUIT",
    "waitline HAND_BEFORE_SLOT",
    "waitline CANCEL_LOSES_SLOT",
    "waitline LATE_SUCCESS_DROPPED",
    "waitline LOST_CAS_DROPS",
    "waitline REFERENCE_NOT_KEPT",
    "waitline LOOPS WAKE_FAILURE_IGNORED",
    "waitline LOOPS TAKE_BACK_WITHOUT_CAS",
    # capacity that comes and goes
    "room LIMIT=1 DISCARD_WAKES_NOBODY",
    "room LIMIT=1 FAILED_CONNECT_WAKES_NOBODY",
    "room LIMIT=1 FAILED_CONNECT_KEEPS_PERMIT",
    "room LIMIT=1 FAILED_CONNECT_KEEPS_SLOT",
    "room HOLDER CONNECT_ENDED_WAKES_NOBODY",
    "room SHRINK GROW CLIENTS=2 PERMIT_DROPPED_UNSEEN",
    "room HOLDER GROW LIMIT=1 CLIENTS=2 GROWTH_WAKES_NOBODY",
    "room SHRINK CLIENTS=2 TAKE_WITHOUT_SHRINK",
    "room SHRINK CLIENTS=2 FLAGS_NOT_SEEN_AFTER_PUBLISH",
    "room CLOSE CLIENTS=2 FLAGS_NOT_SEEN_AFTER_PUBLISH",
    "room CLOSE HOLDER LIMIT=1 CLIENTS=2 CLOSE_NOT_SEEN_IN_LINE",
    # a lease ends once
    "lease FAST_END_WITHOUT_CAS",
    "lease END_WITHOUT_MARK",
    # lookouts
    "lookout DUTY_NOT_PASSED_ON",
    "lookout HEIR_CANNOT_LOOK",
    "lookout HEIR_CHOSEN_BEFORE",
    "lookout HEIR_NOT_WOKEN",
    "lookout SERVED_KEEPS_THE_DUTY",
    "lookout LOOKOUT_READ_ONCE",
    "lookout RUNG_TAKEN_BACK_LATE",
    "lookout RUNG_BY_ALL",
    # the forked child
    "fork MUTEX_INHERITED",
    "fork GATE_INHERITED",
    "fork IDLE_INHERITED",
    "fork WAITERS_LEFT_BEHIND",
    "fork PARENTS_LEASE_ENDS_IN_CHILD",
    "fork LEAVES_THE_NEW_LINE",
    "fork LOCKS_THE_PARENTS_LINE",
    "fork ABANDONED_WITHOUT_A_LOOK",
    # the permits that processes share, and that any of them may die with
    "shared NO_HELP",
    "shared FINISH_WITHOUT_SEQ",
    "shared FINISH_WITHOUT_CAS",
    "shared TOTAL_WITHOUT_CAS",
    "shared ROW_TAKEN_UNCLEARED",
    "shared GIVEN_BEFORE_CLOSED",
    "shared REAPED_WITHOUT_LOCK",
]


class Verdict(NamedTuple):
    """The verifier's result."""

    complete: bool
    errors: int
    states: int
    why: str


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Future[Verdict]]:
    """Every check, two at a time; each test waits for its own."""
    if shutil.which("spin") is None:
        why = "spin is not installed, so the protocol was not checked: apt-get install spin"
        if os.environ.get("FASTPOOL_SPIN") == "required":
            pytest.fail(why)
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("spin")
    workers = ThreadPoolExecutor(max_workers=2)
    return {case: workers.submit(check, case, folder / f"{i}") for i, case in enumerate(TRUE + SEEDED)}


def check(case: str, folder: Path) -> Verdict:
    """Generate, compile and run one verifier; at most 950 MB of states each."""
    model, *defines = case.split()
    folder.mkdir()
    source = shutil.copy(HERE / f"{model}.pml", folder)
    flags = [f"-D{define}" for define in defines]
    run(["spin", *flags, "-a", Path(source).name], folder)
    cc = os.environ.get("CC", "cc")
    # Not optimized: most of the time is the compiler's, and optimizing costs it as much as the largest models would
    # gain.
    run([cc, "-w", "-O0", "-DSAFETY", "-DMEMLIM=950", "-o", "pan", "pan.c"], folder)
    said = run(["./pan", "-m100000"], folder)
    found = re.search(r"errors: (\d+)", said)
    states = re.search(r"(\d+) states, stored", said)
    why = re.search(r"^pan:\d+: (.*)$", said, re.MULTILINE)
    assert found and states, said
    # "max search depth too small" and "out of memory" would leave states unseen
    complete = "too small" not in said and "memory" not in said.split("(Spin Version")[0] and "truncated" not in said
    return Verdict(complete, int(found[1]), int(states[1]), why[1] if why else "")


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.parametrize("case", TRUE)
def test_the_protocol_holds(case: str, verdicts: dict[str, Future[Verdict]]) -> None:
    verdict = verdicts[case].result()
    assert verdict.errors == 0, f"{case}: {verdict.why} (spin -t -p -g shows the interleaving)"
    assert verdict.complete, f"{case}: not every state was looked at; make the model smaller"
    assert verdict.states > 1000, f"{case}: only {verdict.states} states, so it models next to nothing"


@pytest.mark.parametrize("case", SEEDED)
def test_a_seeded_fault_is_caught(case: str, verdicts: dict[str, Future[Verdict]]) -> None:
    verdict = verdicts[case].result()
    assert verdict.errors > 0, f"{case}: the model does not notice this fault in {verdict.states} states"
    assert "assertion" in verdict.why or "invalid end state" in verdict.why, verdict.why
    assert "invalid array index" not in verdict.why or case.endswith("HAND_BEFORE_SLOT")


def test_every_fault_of_the_models_is_seeded() -> None:
    """A fault switch that no test sets would go stale unnoticed."""
    switches = {
        "SLOTS",
        "CLIENTS",
        "THREADS",
        "OTHERS",
        "ROUNDS",
        "LIMIT",
        "LOOPS",
        "HOLDER",
        "GROW",
        "SHRINK",
        "CLOSE",
        "LOOKOUTS",
        "TASKS",
        "ROWS",
        "CAP",
        "DEATHS",
    }
    for path in sorted(HERE.glob("*.pml")):
        named = set(re.findall(r"#\s*if(?:n?def)? \(?(?:defined\()?([A-Z_]+)", path.read_text()))
        seeded = {case.split()[-1] for case in SEEDED if case.split()[0] == path.stem}
        assert named - switches == seeded, path.name
