"""`fastpool top`, in a process of its own, beside pools that share names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import fastpool
from tests.shared._party import Party, wait_until

pytest.importorskip("rich")
pytest.importorskip("click")


def top(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fastpool", "top", *arguments], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def test_json_tells_of_every_pool_and_process(party: Party) -> None:
    first, second = party.worker(shared_max=5), party.worker(shared_max=5)
    other = party.worker(shared="another")
    first.do("take(); take()")
    wait_until(lambda: sum(stats.leased for stats in fastpool.shared_stats("tested")) == 2)
    found = json.loads(top("--json"))
    assert [(pool["name"], pool["shared_max"]) for pool in found["pools"]] == [("another", None), ("tested", 5)]
    processes = {row["pid"]: row for pool in found["pools"] for row in pool["processes"]}
    assert set(processes) == {first.pid, second.pid, other.pid}
    assert processes[first.pid]["leased"] == 2 and processes[first.pid]["program"] == "_worker.py"
    fields = ["pid", "program", "since", "size", "idle", "leased", "connecting", "waiting", "servers"]
    assert all(list(row) == fields for row in processes.values())


def test_the_table_sums_the_processes_of_a_name(party: Party) -> None:
    workers = [party.worker(shared_max=5) for _ in range(2)]
    for worker in workers:
        worker.do("take()")
    wait_until(lambda: sum(stats.leased for stats in fastpool.shared_stats("tested")) == 2)
    told = top("--once")
    assert all(str(worker.pid) in told for worker in workers) and "2 of 5" in told
    assert "\x1b[" not in told and top() != "", "once, where there is no terminal"


def test_nobody_shares_anything(party: Party) -> None:
    assert json.loads(top("--json")) == {"pools": []}


def test_a_page_that_is_damaged_does_not_hide_the_others(party: Party) -> None:
    party.worker(shared_max=5)
    (party.folder / ("0" * 40 + ".page")).write_bytes(b"nonsense" * 1000)
    assert [pool["name"] for pool in json.loads(top("--json"))["pools"]] == ["tested"]


def test_a_folder_that_cannot_be_used_is_told(party: Party, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    party.folder.chmod(0o755)
    assert "0700" in top("--json", code=1)
    party.folder.chmod(0o700)
