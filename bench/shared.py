"""The cost of a cap shared over processes, and how soon a permit is where it is needed.

    python -m bench.shared            all of it, as a table; four minutes
    python -m bench.shared --json     as JSON, for other programs

Checkouts are compared in pairs of short runs, alternately with and without `shared`, in one process, and the median of
the pairs' ratios is told. Hand-overs are measured between processes on an otherwise idle machine, each many times.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import select
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path

import psutil

import fastpool
from tests.shared._party import Party, Worker, wait_until

PAIRS = 60
ROUNDS = 20_000
TIMES = 20
PROCESSES = 50  # that top watches
TOP_AFTER_S = 10.0  # it has started by then
TOP_S = 60.0
USES = """
def uses():
    while True:
        with pool.connection():
            pass
        time.sleep(0.5)
threading.Thread(target=uses, daemon=True).start()
"""


class Connection:
    """A connection to nothing."""

    def close(self) -> None:
        """Nothing to do."""


def cycle(pool: fastpool.Pool[Connection]) -> float:
    """The seconds of so many checkouts of a connection that is free."""
    began = time.perf_counter()
    for _ in range(ROUNDS):
        with pool.connection():
            pass
    return time.perf_counter() - began


def checkout_ratio() -> float:
    """How much longer a checkout takes with `shared`."""
    with (
        fastpool.Pool(Connection, max_size=4, min_size=1, keepalive=3600) as alone,
        fastpool.Pool(Connection, max_size=4, min_size=1, keepalive=3600, shared="bench", shared_max=4) as shared,
    ):
        pairs = []
        for number in range(PAIRS):
            first, second = (alone, shared) if number % 2 else (shared, alone)
            times = {id(first): cycle(first), id(second): cycle(second)}
            pairs.append(times[id(shared)] / times[id(alone)])
    return statistics.median(pairs)


def quantiles(times: list[float]) -> dict[str, float]:
    """Median and longest, in milliseconds."""
    return {"median_ms": round(statistics.median(times) * 1e3, 2), "longest_ms": round(max(times) * 1e3, 2)}


def idle_elsewhere(party: Party) -> list[float]:
    """From a checkout that finds no permit to its having a connection, where another process has idle ones."""
    owner, waiter = party.worker(shared_max=4), party.worker(shared_max=4)
    times = []
    for _ in range(TIMES):
        owner.do("[take() for _ in range(4)]; [give() for _ in range(4)]")
        times.append(waiter.get("take()"))
        waiter.do("pool.clear(); give()")
        wait_until(lambda: waiter.get("len(pool)") == 0)
    return times


def killed_holder(party: Party) -> list[float]:
    """From the death of the process that has the only permit to another's having a connection."""
    times = []
    waiter = party.worker(shared_max=1)
    for _ in range(TIMES):
        holder: Worker = party.worker(shared_max=1)
        holder.do("take()")
        waiter.do("later('(take(), time.monotonic())[1]')")
        wait_until(lambda: any(stats.waiting for stats in fastpool.shared_stats("tested")))
        killed = time.monotonic()
        holder.kill()
        wait_until(lambda: waiter.get("len(outcomes)") == 1)
        times.append(waiter.get("outcomes.pop()") - killed)
        waiter.do("pool.clear(); give()")
        wait_until(lambda: waiter.get("len(pool)") == 0)
    return times


def page_bytes(party: Party) -> int:
    """The size of a page that 64 pools have joined."""
    pools = [fastpool.Pool(Connection, shared="sixty-four", shared_max=16, open=False) for _ in range(64)]
    try:
        return max(path.stat().st_size for path in party.folder.iterdir())
    finally:
        for pool in pools:
            pool.close()


def cpu_of_top(party: Party, busy: bool) -> dict[str, float]:
    """The CPU of `fastpool top` with fifty processes, and beside it that of procps' `top`, in percent of a core.

    Both are live, in terminals of their own, at one pace. Busy: each process uses its pool twice a second.
    """
    workers = [party.worker(shared_max=200) for _ in range(PROCESSES)]
    for worker in workers:
        worker.tell("take()\n" + (USES if busy else ""))
    for worker in workers:
        worker.answer()
    programs = {"fastpool": [sys.executable, "-m", "fastpool", "top", "--interval", "2"]}
    if sys.platform == "linux" and shutil.which("top"):
        programs["procps"] = ["top", "-d", "2"]
    live = {name: Live(program) for name, program in programs.items()}
    try:
        terminals = [one.terminal for one in live.values()]
        drain(terminals, TOP_AFTER_S)
        before, began = {name: one.cpu_s() for name, one in live.items()}, time.monotonic()
        drain(terminals, TOP_S)
        took = time.monotonic() - began
        return {name: round(100 * (one.cpu_s() - before[name]) / took, 2) for name, one in live.items()}
    finally:
        for one in live.values():
            one.end()


class Live:
    """A program in a terminal of its own."""

    def __init__(self, program: list[str]) -> None:
        self.terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 180, 0, 0))
        env = {**os.environ, "TERM": "xterm"}
        self._process = subprocess.Popen(program, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
        os.close(theirs)

    def cpu_s(self) -> float:
        """The seconds that it has computed."""
        times = psutil.Process(self._process.pid).cpu_times()
        return times.user + times.system

    def end(self) -> None:
        """End it, and its terminal."""
        self._process.terminate()
        drain([self.terminal], 0.5)
        self._process.kill()
        self._process.wait()
        os.close(self.terminal)


def drain(terminals: list[int], seconds: float) -> None:
    """Read what is drawn, for so long: a terminal that is not read holds the program up."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        for terminal in select.select(terminals, [], [], left)[0]:
            try:
                os.read(terminal, 65536)
            except OSError:
                return  # the program has ended


def measured() -> dict[str, object]:
    """All figures."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FASTPOOL_SHARED_DIR"] = str(Path(folder) / "pages")

        def at(party_work: Callable[[Party], object]) -> object:
            party = Party(Path(folder) / "pages")
            try:
                return party_work(party)
            finally:
                party.close()
                for path in party.folder.iterdir():
                    path.unlink()
                party.folder.rmdir()

        return {
            "checkout_with_shared_over_without": at(lambda _: round(checkout_ratio(), 3)),
            "idle_elsewhere": at(lambda party: quantiles(idle_elsewhere(party))),
            "killed_holder": at(lambda party: quantiles(killed_holder(party))),
            "page_bytes_for_64_pools": at(page_bytes),
            "top_with_fifty_processes": at(lambda party: cpu_of_top(party, busy=False)),
            "top_with_fifty_busy_processes": at(lambda party: cpu_of_top(party, busy=True)),
        }


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.shared")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measured()
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    for name, value in found.items():
        print(f"{name.replace('_', ' '):40} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
