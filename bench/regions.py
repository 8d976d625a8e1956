"""Does it pay to ask the gateway beside the row? RegionPool against round-robin over the same gateways.

``python -m bench.regions`` starts a real HBase with three region servers and a gateway beside each, all on this machine
(a minute, 1.5 GB), and stops it. The sides take turns, round by round; the median of the rounds' ratios counts. Between
a gateway and another host's region server there is only loopback here: a real network has more to save.
"""

from __future__ import annotations

import argparse
import random
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import fastpool
from tests.hbase._three import TABLE, Three, right, three
from tests.hbase._three import Call as Done

ROWS = [f"{letter}{number:03}" for letter in "adgjmpsvy" for number in range(100)]
Block = Callable[[str], AbstractContextManager[Any]]


def fill(hbase: Three) -> None:
    with hbase.pool() as pool, pool.table(TABLE) as table, table.batch(batch_size=100) as batch:
        for row in ROWS:
            batch.put(row.encode(), {b"f:q": b"x" * 100})


def play(block: Block, threads: int, seconds: float) -> list[Done]:
    """Read rows by so many threads for so long; each call."""
    over = time.monotonic() + seconds
    done: list[Done] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        while (began := time.monotonic()) < over:
            row = rng.choice(ROWS)
            with block(row) as table:
                table.row(row.encode())
                host = table.connection.host
            done.append(Done(began, time.monotonic() - began, row, host, None))

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return done


def figures(calls: list[Done], seconds: float) -> tuple[float, float, float]:
    """Calls a second, and the median and the 99th percentile of their seconds."""
    took = sorted(call.seconds for call in calls)
    return len(took) / seconds, took[len(took) // 2], took[len(took) * 99 // 100]


def compare(hbase: Three, threads: int, rounds: int, seconds: float) -> None:
    size = max(threads, 2)
    routed = hbase.pool(size, refresh=60.0)
    spread = fastpool.ConnectionPool(
        3 * size, servers=hbase.addresses, balance="round_robin", order="fifo", min_size=3 * size, timeout=10_000
    )
    sides: dict[str, Block] = {
        "by region": lambda row: routed.table(TABLE, row),
        "round-robin": lambda row: spread.table(TABLE),
    }
    routed.warm()
    results: dict[str, list[tuple[float, float, float]]] = {side: [] for side in sides}
    shares: dict[str, list[float]] = {side: [] for side in sides}
    regions = hbase.regions()
    for number in range(-1, rounds):  # the first is not counted
        for side in sorted(sides, reverse=number % 2 == 1):
            calls = play(sides[side], threads, seconds)
            if number >= 0:
                results[side].append(figures(calls, seconds))
                shares[side].append(right(calls, regions))
    for side in sides:
        rate, median, p99 = (statistics.median(column) for column in zip(*results[side], strict=True))
        share = statistics.median(shares[side])
        print(
            f"{threads} threads, {side:11}: {rate:6.0f} RPCs/s, median {median * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms, "
            f"{share:.1%} at the gateway beside the row"
        )
    ratios = [
        [mine / theirs for mine, theirs in zip(ours, others, strict=True)]
        for ours, others in zip(results["by region"], results["round-robin"], strict=True)
    ]
    for name, column in zip(("RPCs/s", "median", "p99"), zip(*ratios, strict=True), strict=True):
        low, middle, high = statistics.quantiles(column, n=4)
        print(f"    {name}: {middle:.2f} times round-robin's (quartiles {low:.2f} to {high:.2f})")
    routed.close()
    spread.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 4])
    args = parser.parse_args()
    with three() as hbase:
        fill(hbase)
        for threads in args.threads:
            compare(hbase, threads, args.rounds, args.seconds)


if __name__ == "__main__":
    main()
