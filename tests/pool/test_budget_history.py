"""Counts of now are compared with the last rows of the history. `make budgets` adds rows; the commit says why."""

from __future__ import annotations

import pytest

from tests.pool import budget_history
from tests.pool.budget_history import IMPORT, KINDS, PYTHON, budgets, cost, history, instructions, modules

TOLERANCE = 0.02  # of instructions: addresses differ from run to run, and with them the ways through hash tables
BYTES_APART = 16  # the rounding of an allocator


def compare(found: dict[str, float], prefix: str) -> None:
    known = {what: row for (where, what), row in budgets().items() if where == PYTHON and what.startswith(prefix)}
    if not known:
        pytest.skip(f"nobody has counted on {PYTHON}: `make budgets` adds its rows")
    for name, count in found.items():
        row = known[f"{prefix}{name}"]
        allowed = row.count + (BYTES_APART if name == "peak_bytes" else 0)
        assert count <= allowed, f"{prefix}{name}: {count:g}, but {row.count:g} since {row.date}; see CONTRIBUTING.md"


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkout_costs_no_more_than_the_history_says(kind: str) -> None:
    compare(cost(kind), f"{kind}: ")


def test_an_import_brings_no_more_modules_than_the_history_says() -> None:
    compare(modules(), "import: modules ")


@pytest.mark.stress
@pytest.mark.timeout(600)
def test_a_checkout_takes_no_more_instructions_than_the_history_says() -> None:
    row = budgets().get((budget_history.where_instructions_are_counted(), "Pool: instructions"))
    if row is None:
        pytest.skip("nobody has counted with this Python and this compiler: `make budgets` adds a row")
    found = instructions()
    if found is None:
        pytest.skip("there is no Valgrind to count instructions with")
    assert found <= row.count * (1 + TOLERANCE)
    assert found > row.count / 2, "it would be news"


def test_the_history_is_in_order() -> None:
    rows = history()
    assert rows and [row.date for row in rows] == sorted(row.date for row in rows)
    assert {row.what.partition(":")[0] for row in rows} == {*KINDS, "import"}


def test_a_growth_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_history, "IMPORT", IMPORT.replace("import fastpool", "import fastpool, fastpool.aio", 1))
    if (PYTHON, "import: modules in all") not in budgets():
        pytest.skip(f"nobody has counted on {PYTHON}")
    with pytest.raises(AssertionError, match="since"):
        compare(modules(), "import: modules ")
