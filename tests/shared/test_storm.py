"""Sixteen processes of eight threads each on one cap of sixteen, and one of them is killed now and then.

The default run takes some seconds; `make stress` runs it for ten minutes (FASTPOOL_SHARED_STORM_S says how long).
"""

from __future__ import annotations

import os
import random
import time

import pytest

import fastpool
from tests.shared._party import Party, Worker, wait_until

CAP = 16
WORK = """
import random
served = [0]
longest = [0.0]
ends = threading.Event()
def work():
    while not ends.is_set():
        began = time.monotonic()
        with pool.connection() as c:
            longest[0] = max(longest[0], time.monotonic() - began)
            c.sendall(b"x"); assert c.recv(1) == b"x"
            time.sleep(random.random() * 0.01)
        served[0] += 1
[threading.Thread(target=work, daemon=True).start() for _ in range(8)]
"""
THREADS = 8


def begin(party: Party) -> Worker:
    worker = party.worker(shared_max=CAP, timeout=None)
    worker.do(WORK)
    return worker


def storm(party: Party, processes: int, seconds: float, between: float) -> None:
    party.server.cap = CAP
    workers = [begin(party) for _ in range(processes)]
    rng, until = random.Random(), time.monotonic() + seconds
    kills = []
    while time.monotonic() < until:
        time.sleep(between)
        victim = rng.randrange(processes)
        kills.append(time.monotonic())
        workers[victim].kill()
        workers[victim] = begin(party)
    told = [worker.get("(ends.set(), served[0], longest[0])[1:]") for worker in workers]
    # The system needs some milliseconds to take a killed process down, more of them on an overloaded machine.
    late = [(at, n) for at, n in party.server.over if all(not 0 <= at - kill <= 0.2 for kill in kills)]
    assert late == [], f"more than {CAP} were open, and nothing had been killed a moment before"
    assert sum(served for served, _ in told) > 0
    # In a perfect line each caller waits until all others have been served once.
    ideal = processes * THREADS / (sum(served for served, _ in told) / seconds)
    print(
        f"served {[n for n, _ in told]}, longest wait {max(wait for _, wait in told):.3f} s "
        f"(ideal {ideal:.3f} s, told of the living), {len(kills)} killed, "
        f"more than the cap {len(party.server.over)} times, all just after a kill"
    )
    for worker in workers:
        worker.kill()
    all_permits_can_be_had(party)
    assert party.left() == []


def all_permits_can_be_had(party: Party) -> None:
    with fastpool.Pool(lambda: party.connection(), shared="tested", shared_max=CAP, max_size=CAP) as last:
        wait_until(lambda: last.warm(timeout=1.0) == CAP)


def test_a_storm_with_deaths_never_has_more_than_the_cap_and_loses_nothing(party: Party) -> None:
    storm(party, processes=4, seconds=2.0, between=0.5)


@pytest.mark.stress
@pytest.mark.timeout(1200)
def test_sixteen_processes_for_long(party: Party) -> None:
    storm(party, processes=16, seconds=float(os.environ.get("FASTPOOL_SHARED_STORM_S", "600")), between=1.0)
