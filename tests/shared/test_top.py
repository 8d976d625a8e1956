"""`fastpool top`, in a process of its own, beside pools that share names."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rich")
pytest.importorskip("click")

from click.testing import CliRunner

import fastpool
from fastpool._cli.commands import _SORTS, cli
from fastpool._cli.compare.tables import duration
from fastpool._cli.top import COLUMNS, _unpacked, in_words, rows
from fastpool._shared import asking, folder
from fastpool._shared.asking import ask
from fastpool._shared.reading import shared_rows
from tests.shared._party import PATIENCE, Party, wait_until


def top(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(cli, ["top", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def top_process(*arguments: str, code: int = 0, patience_s: float = 50) -> str:
    command = [sys.executable, "-m", "fastpool", "top", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience_s, check=False)
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
    assert json.loads(top_process("--json")) == {"pools": []}


def test_a_page_that_is_damaged_does_not_hide_the_others(party: Party) -> None:
    party.worker(shared_max=5)
    (party.folder / ("0" * 40 + ".page")).write_bytes(b"nonsense" * 1000)
    wait_until(lambda: fastpool.shared_stats("tested"))
    assert [pool["name"] for pool in json.loads(top("--json"))["pools"]] == ["tested"]


def test_a_folder_that_cannot_be_used_is_told(party: Party, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(plain))
    assert "plain' " in top("--json", code=1)


def row_of(pid: int) -> int:
    """The number of the row that a process has."""
    found = wait_until(lambda: [told.number for told in shared_rows("tested") if told.process.pid == pid])
    return int(found[0])


def test_the_leases_of_another_process_with_their_stacks(party: Party) -> None:
    worker = party.worker(shared_max=5)
    worker.do(
        """
def holds_it():
    with pool.connection():
        inside.set()
        over.wait(60)
inside, over = threading.Event(), threading.Event()
threading.Thread(target=holds_it, name="holder", daemon=True).start()
inside.wait(20)
"""
    )
    row_of(worker.pid)
    told = top("--leases", str(worker.pid))
    assert "by thread 'holder'" in told and "in holds_it" in told and "1 leases" in told
    assert "has no shared pool" in top("--leases", "1", code=1)
    assert [one.name for one in party.folder.iterdir() if one.name.endswith(".leases")] == []
    wait_until(lambda: shared_rows("tested")[0].oldest)
    assert "thread 'holder'" in top("--once")


def test_a_process_that_is_stopped_does_not_answer_and_one_that_has_ended_is_gone(party: Party) -> None:
    worker = party.worker(shared_max=5)
    number = row_of(worker.pid)
    worker.stop()
    with pytest.raises(fastpool.PoolError, match="is it stopped"):
        ask("tested", number, patience_s=0.2)
    worker.go_on()
    assert ask("tested", number, PATIENCE)["pid"] == worker.pid, "it answers the last question"
    worker.kill()
    with pytest.raises(fastpool.PoolError, match="has ended"):
        ask("tested", number)


def test_an_answer_that_nobody_reads_is_removed_and_a_link_is_not_followed(party: Party, tmp_path: Path) -> None:
    worker = party.worker(shared_max=5)
    old = party.folder / "0-0-00000001.leases"
    old.write_text("{}")
    os.utime(old, (1, 1))
    number = row_of(worker.pid)
    assert ask("tested", number, PATIENCE)["leases"] == [] and not old.exists()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("secret")
    name = "0-0-00000002.leases"
    (party.folder / name).symlink_to(elsewhere)
    if not (party.folder / name).is_symlink():
        pytest.skip("this system makes no links")  # Wine 8 only says that it has
    pages = folder.opened(make=False)
    assert pages is not None
    with pages, pytest.raises(fastpool.PoolError, match="is a link"):
        asking._taken(pages, name)


def test_rows_are_sorted_within_their_name(party: Party) -> None:
    workers = [party.worker(shared_max=5) for _ in range(3)]
    for number, worker in enumerate(workers):
        worker.do("take(0); " * number + "pass")
    wait_until(lambda: sum(stats.leased for stats in fastpool.shared_stats("tested")) == 3)
    most_first = [row.told.process.pid for row in rows("leased") if row.told]
    assert most_first == [worker.pid for worker in reversed(workers)]
    assert [row.told.process.pid for row in rows("leased", reverse=True) if row.told] == most_first[::-1]
    assert rows("leased")[-1].told is None, "their sum comes last"
    assert [set(COLUMNS)] == [set(_SORTS)] and "no column" in top("--sort", "size", code=2)


def test_the_percentiles_of_waits_are_those_of_the_process(party: Party) -> None:
    waits, waits_never = party.worker(shared_max=5, max_size=1), party.worker(shared_max=5)
    for _ in range(3):  # the first wait is longer than the others
        waits.do("take(); later('take()')")
        wait_until(lambda: waits.get("pool.stats().waiting"))
        waits.do("len(outcomes) or time.sleep(0.3); give()")
        wait_until(lambda: waits.get("len(held)"))
        waits.do("give()")
    exact = waits.get("[pool.stats().wait.count, *map(pool.stats().wait.percentile, (50, 99))]")

    def of(process: Any) -> Any:
        return next(row for row in rows("p99") if row.told and row.told.process.pid == process.pid)

    wait_until(lambda: of(waits).told.stats.wait.count == exact[0] == 3)
    row = of(waits)
    for name, percent, value in (("p50", 50, exact[1]), ("p99", 99, exact[2])):
        told = row.told.stats.wait.percentile(percent)
        assert row.cells[1 + list(COLUMNS).index(name)] == duration(told)
        assert value / 3 < told < value * 3, "the page has the counts of wide buckets"
        assert of(waits_never).cells[1 + list(COLUMNS).index(name)] == "", "no wait, no figure"
    assert [row.told.process.pid for row in rows("p99") if row.told] == [waits.pid, waits_never.pid]
    assert duration(row.told.stats.wait.percentile(99)) in top("--once")


def test_a_row_that_says_what_it_said_is_not_parsed_again(party: Party) -> None:
    party.worker(shared_max=5, min_size=0)
    wait_until(rows)

    def parsed() -> int:
        before = _unpacked.cache_info().misses
        assert len(rows()) == 2, "the process, and the sum"
        return _unpacked.cache_info().misses - before

    wait_until(lambda: parsed() == 0)


def test_the_row_of_a_lease_that_stays_out_stays_as_it_is(party: Party) -> None:
    with fastpool.Pool(party.connection, max_size=1, shared="tested", shared_max=5) as pool, pool.connection():
        said = set()
        for _ in range(50):
            pool.share.publish(pool)
            said.add(pool.share.member.read(pool.share.member.number))
    assert len(said) <= 3, "when it was leased is rounded, so the clocks' small steps do not show"


@pytest.mark.timeout(240)
def test_once_under_full_load(party: Party) -> None:
    """Twice as many processes as cores compute, and use the pool, all the time."""
    count = min(2 * (os.cpu_count() or 1), 32)
    workers = [party.worker(shared_max=count, max_size=1) for _ in range(count)]
    for worker in workers:
        worker.do(
            """
served = 0
def work():
    global served
    while True:
        with pool.connection():
            sum(range(1000))
        served += 1
threading.Thread(target=work, daemon=True).start()
"""
        )
    before = [wait_until(lambda worker=worker: worker.get("served")) for worker in workers]
    told = top_process("--once", patience_s=150)
    assert [str(worker.pid) for worker in workers if str(worker.pid) not in told.split()] == []
    assert f"{count} of {count}" in told
    assert all(worker.get("served") > served for worker, served in zip(workers, before, strict=True)), "all went on"


def test_the_screen_follows_processes_that_come_and_go(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("textual")
    from fastpool._cli.top_screen import LeasesScreen, Top

    first, second = party.worker(shared_max=5), party.worker(shared_max=5)
    first.do("take()")

    async def main() -> None:
        app = Top(interval_s=0.1)
        async with app.run_test(size=(200, 30)) as pilot:

            async def shown(true: Callable[[], object]) -> None:
                end = time.monotonic() + PATIENCE
                while not true():
                    assert time.monotonic() < end, "it is never shown"
                    await pilot.pause(0.05)

            def pids() -> list[int]:
                return [row.told.process.pid for row in app.view.rows if row.told]

            await shown(lambda: sorted(pids()) == sorted((first.pid, second.pid)))
            await pilot.press(*"s" * list(COLUMNS).index("leased"))
            assert app.sort == "leased"
            await shown(lambda: pids() == [first.pid, second.pid])
            await pilot.press("r")
            assert pids() == [second.pid, first.pid]
            await pilot.press("r", "home", "enter")
            await shown(lambda: isinstance(app.screen, LeasesScreen))
            await shown(lambda: f"pid {first.pid}" in text_of(app.screen.query_one("#told")))
            await pilot.press("escape")
            assert app.view._at == 0
            await pilot.press("end", "up", "up", "pageup", "down")
            assert app.view._at == 1
            await pilot.click(app.view, offset=(1, 1))
            assert app.view._at == 0
            await pilot.click(app.view, offset=(app.view._lines[0].index("program"), 0))
            assert app.sort == "program"
            third = await asyncio.to_thread(lambda: party.worker(shared_max=5))
            await shown(lambda: third.pid in pids())
            second.kill()
            await shown(lambda: second.pid not in pids())
            assert len(app.view.rows) == 3, "two processes and their sum"
            monkeypatch.setenv("FASTPOOL_SHARED_DIR", __file__)
            await shown(lambda: app.problem.display)
            monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(party.folder))
            await shown(lambda: not app.problem.display)
            await pilot.press("q")

    asyncio.run(asyncio.wait_for(main(), 50))


def test_only_lines_that_changed_are_drawn_again(party: Party) -> None:
    pytest.importorskip("textual")
    from fastpool._cli.top_rows import strip_of
    from fastpool._cli.top_screen import Top

    for _ in range(3):
        party.worker(shared_max=5)

    async def main() -> None:
        app = Top(interval_s=3600)
        async with app.run_test(size=(200, 30)) as pilot:
            await pilot.pause()
            drawn: list[Any] = []
            view, refresh = app.view, app.view.refresh
            view.refresh = lambda *lines, **how: drawn.extend(line.y for line in lines) or refresh(*lines, **how)
            found = view.rows

            async def drawn_with(changed: int | None) -> list[int]:
                drawn.clear()
                made = strip_of.cache_info().misses
                cells = [list(row.cells) for row in found]
                if changed is not None:
                    cells[changed][2] = "another".ljust(len(cells[changed][2]))[: len(cells[changed][2])]
                now = [row._replace(cells=new) for row, new in zip(found, cells, strict=True)]
                view.show(now, app.sort, app.reverse)
                await pilot.pause()
                assert strip_of.cache_info().misses - made <= len(drawn), "the others are not even made again"
                return list(drawn)

            assert await drawn_with(None) == []
            assert await drawn_with(1) == [2], "the header is line 0"
            assert await drawn_with(None) == [2], "it is as it was before"

    asyncio.run(asyncio.wait_for(main(), 50))


@pytest.mark.parametrize(
    ("age", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (10, "10 s"), (119.9, "119 s"), (120, "2 min"), (7_199, "119 min"),
     (7_200, "2 h"), (172_799, "47 h"), (172_800, "2 d")],
)  # fmt: skip
def test_an_age_is_as_exact_as_a_reader_needs_it(age: float, text: str) -> None:
    assert in_words(age, digits=1) == text
    assert in_words(0.4) == "0 s"


def text_of(widget: Any) -> str:
    """The text that a widget shows."""
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as captured:
        console.print(widget.content)
    return captured.get()
