"""The seconds around an outage, and around a restart that happens while nobody calls.

Eight threads read a row of a real Thrift server a hundred times a second each. A proxy cuts the server off for two
seconds: connections end, and new ones are refused. Later the threads rest for a second, in which the server ends all
connections, as a gateway does that is restarted at night. The reads that succeeded and the errors that callers saw are
counted in slices of 100 ms. The two pools take turns.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from time import perf_counter, sleep
from typing import Any

from fastpool._cli.compare.candidates import CONNECTION_POOL, HAPPYBASE, Candidate
from fastpool._cli.compare.load import read_a_row, served
from fastpool._cli.compare.questions import opened
from fastpool.testing import FaultProxy

THREADS = 8
SLICE_S = 0.1
GONE_AT_S, BACK_AT_S = 2.0, 4.0
REST_AT_S, RESTARTED_AT_S, ON_AT_S = 6.0, 6.3, 7.0
END_AT_S = 9.0
_PAUSE_S = 0.01
_STOP_WITHIN = 60.0


def measure(turns: int) -> dict[str, Any]:
    """The slices of each pool, added up over ``turns`` turns."""
    told: dict[str, list[tuple[float, bool]]] = {HAPPYBASE.name: [], CONNECTION_POOL.name: []}
    with served() as server:
        for _ in range(turns):
            for pool in (HAPPYBASE, CONNECTION_POOL):
                told[pool.name] += _run(pool, server)
    return {
        "threads": THREADS,
        "turns": turns,
        "slice_s": SLICE_S,
        "gone_s": [GONE_AT_S, BACK_AT_S],
        "rest_s": [REST_AT_S, ON_AT_S],
        "pools": [{"name": name, **_summary(events)} for name, events in told.items()],
    }


def _summary(told: list[tuple[float, bool]]) -> dict[str, Any]:
    slices = range(round(END_AT_S / SLICE_S))
    counted = Counter((int(when / SLICE_S), success) for when, success in told)

    def errors(since: float, until: float) -> int:
        return sum(since <= when < until and not success for when, success in told)

    return {
        "reads": [counted[n, True] for n in slices],
        "errors": [counted[n, False] for n in slices],
        "errors_after_the_outage": errors(BACK_AT_S, REST_AT_S),
        "errors_after_the_restart": errors(REST_AT_S, END_AT_S),
    }


def _run(pool: Candidate, server: Any) -> list[tuple[float, bool]]:
    """When each read ended, in seconds since the beginning, and whether it succeeded."""
    told: list[tuple[float, bool]] = []
    stop, go_on = threading.Event(), threading.Event()
    go_on.set()
    with FaultProxy(server) as proxy, opened(pool, proxy, THREADS) as one:
        began = perf_counter()

        def work() -> None:
            while not stop.is_set():
                go_on.wait(_STOP_WITHIN)
                success = True
                try:
                    with one.connection() as connection:
                        read_a_row(connection)
                except Exception:  # whatever a caller would see
                    success = False
                told.append((perf_counter() - began, success))
                sleep(_PAUSE_S)

        def at(second: float, do: Callable[[], object]) -> None:
            sleep(max(0.0, second - (perf_counter() - began)))
            do()

        threads = [threading.Thread(target=work, name=f"reads-{n}", daemon=True) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        at(GONE_AT_S, proxy.server_gone)
        at(BACK_AT_S, proxy.heal)
        at(REST_AT_S, go_on.clear)
        at(RESTARTED_AT_S, proxy.drop_connections)
        at(ON_AT_S, go_on.set)
        at(END_AT_S, stop.set)
        for thread in threads:
            thread.join(_STOP_WITHIN)
            if thread.is_alive():
                raise RuntimeError(f"{thread.name} still waits {_STOP_WITHIN:g} s after the end")
    return told
