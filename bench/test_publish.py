"""The tables of operations that bench.publish writes."""

from __future__ import annotations

from typing import Any

from fastpool._cli.compare import operations as whole
from fastpool._cli.compare.findings import Finding, Target, environment, report

from . import publish


def measured(name: str, model: str, protocol: str, target: Target | None = None) -> Finding:
    return Finding(
        whole.QUESTION, whole.what_of(name, model, protocol), "the same in fastpool", 8.0,
        target=target, figures={"ours_ns": 2_000.0, "theirs_ns": 16_000.0},
    )  # fmt: skip


def test_whole_operations_have_a_row_each_and_a_column_for_each_model_and_protocol() -> None:
    found = [measured("row", "threads", "binary"), measured("row", "tasks", "compact", Target(50))]
    made = report(environment(), [*found, Finding(whole.QUESTION, "aiohappybase, binary", missing="not installed")])
    lines = publish.operations(made, publish._times).splitlines()
    assert len(lines) == 2 + len(whole.OPERATIONS) + 2
    assert lines[2] == "| row | 8.00× | – | – | 8.00×, ≥ 50× (missed) |"
    assert lines[3] == "| put | – | – | – | – |"
    assert publish.operations(made, publish._share).splitlines()[2] == "| row | 2 µs, 0.125 | – | – | 2 µs, 0.125 |"


def test_the_clients_own_time_is_told_by_its_parts() -> None:
    one: dict[str, Any] = {"name": "a row of a scan", "protocol": "compact", "ours_ns": 1e6, "theirs_ns": 5e7}
    made = {"environment": environment(), "operations": [{**one, "parts": 1000}], "threads": None}
    assert publish.client(made).splitlines()[2] == "| a row of a scan | – | – | 1 µs | 0.020 |"
    made["threads"] = {"ours_per_s": 5000, "theirs_per_s": 2000}
    assert "2.5 times as many rows" in publish.client(made)


def test_todays_pools_stand_beside_each_other() -> None:
    side = {"ops_per_s": 3000.0, "longest_wait_of_ideal": 1.26, "fewest_of_mean": 0.98}
    other = {"ops_per_s": 1000.0, "longest_wait_of_ideal": 40.0, "fewest_of_mean": 0.0}
    row = {"pool": "a pool", "threads": 64, "connections": 8, "held_ms": 5.0, "times": 3.0}
    row |= {"ours": side, "theirs": other}
    lines = publish.today({"environment": environment(), "rows": [row]}).splitlines()
    assert lines[2] == "| a pool | 64 on 8, each held 5 ms | 3.00× (3,000 / 1,000) | 1.3 / 40.0 | 0.98 / 0.00 |"
