"""Measure what an operation costs the client's processor, beside happybase's: `python -m bench.operations`.

The replies are recorded from the embedded HBase server and served by a compiled socket in this process, so that no
system call is in the figures. The sides take turns; the least of the rounds counts. At last eight threads read rows
over loopback.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import happybase

import fastpool
from fastpool._cli.compare.findings import environment
from fastpool._cli.compare.operations import PROTOCOLS, served
from fastpool._cli.compare.ratios import Cycles, least
from fastpool.testing import HBaseServer
from tests.adapters._recorded import recorded, wrapped

from . import threads
from .canned import canned_module

TABLE = b"operations"
SCANNED = 1000

Use = Callable[[Any, Any], object]


def cells(columns: int) -> dict[bytes, bytes]:
    return {b"f:column-%02d" % i: b"v" * 20 for i in range(columns)}


def batch(table: Any) -> None:
    with table.batch() as filling:
        for i in range(20):
            filling.put(b"batch-%d" % i, CELLS[10])


CELLS = {columns: cells(columns) for columns in (1, 10, 50)}
ROWS = {b"row-%02d" % columns: values for columns, values in CELLS.items()}
ROWS |= {b"scanned-%04d" % i: CELLS[10] for i in range(SCANNED)}
THREADS = "rows of 10 columns by 8 threads"
CLIENT_ROW = "client.getRow, 10 columns"
USES: dict[str, tuple[int, Callable[[Any, Any], object]]] = {
    "row, 1 column": (200, lambda c, t: t.row(b"row-01")),
    "row, 10 columns": (200, lambda c, t: t.row(b"row-10")),
    "row, 50 columns": (100, lambda c, t: t.row(b"row-50")),
    "rows, 20 of 10": (20, lambda c, t: t.rows([b"scanned-%04d" % i for i in range(20)])),
    "put, 10 columns": (200, lambda c, t: t.put(b"put", CELLS[10])),
    "batch of 20 rows of 10": (20, lambda c, t: batch(t)),
    "cells": (200, lambda c, t: t.cells(b"row-01", b"f:column-00")),
    "counter_inc": (200, lambda c, t: t.counter_inc(b"counter", b"f:n")),
    f"scan of {SCANNED} rows of 10": (1, lambda c, t: [None for _ in t.scan(row_prefix=b"scanned")]),
    f"scan of {SCANNED} rows, sorted": (
        1, lambda c, t: [None for _ in t.scan(row_prefix=b"scanned", sorted_columns=True)]),
    CLIENT_ROW: (200, lambda c, t: c.client.getRow(TABLE, b"row-10", {})),
}  # fmt: skip
"""What is done with (connection, table), and how often in one round."""

PARTS = {
    f"scan of {SCANNED} rows of 10": ("a row of 10 columns of a scan", SCANNED),
    f"scan of {SCANNED} rows, sorted": ("the same, sorted", SCANNED),
}
"""What is told of an operation that is made of many: a part, and how many there are."""

MOST = {
    ("row, 1 column", "binary"): 0.15,
    ("row, 10 columns", "binary"): 0.15,
    ("row, 50 columns", "binary"): 0.15,
    (f"scan of {SCANNED} rows of 10", "binary"): 0.12,
    ("put, 10 columns", "binary"): 0.12,
    ("batch of 20 rows of 10", "binary"): 0.15,
    (CLIENT_ROW, "binary"): 0.35,
    ("row, 10 columns", "compact"): 0.05,
    (f"scan of {SCANNED} rows of 10", "compact"): 0.03,
}
"""At most so much of happybase's time."""


def repeated(pool: Any, use: Use) -> Cycles:
    """The operation so many times, each with its checkout and table()."""

    def cycles(n: int) -> None:
        for _ in range(n):
            with pool.connection() as connection:
                use(connection, connection.table(TABLE))

    return cycles


def compared(server: HBaseServer, protocol: str, use: Use, times: int, rounds: int) -> tuple[float, float]:
    """The least ns of processor time of an operation in fastpool and in happybase."""
    where = {"host": server.host, "port": server.port, "protocol": protocol}
    replies = canned_module().Replies(recorded(lambda c: use(c, c.table(TABLE)), **where), protocol == "compact")
    with wrapped(lambda sock: canned_module().CannedSocket(replies, sock)):
        theirs = happybase.ConnectionPool(1, **where)
        ours = fastpool.ConnectionPool(1, **where)
        found = least(
            repeated(ours, use), repeated(theirs, use), rounds=rounds, cycles=times, clock=time.process_time_ns
        )
        ours.close()
        with theirs.connection() as connection:
            connection.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--turns", type=int, default=5, help="of a second each, of eight threads")
    parser.add_argument("--only", default="", help="only operations whose name contains this")
    parser.add_argument("--protocol", choices=PROTOCOLS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, for bench.publish")
    arguments = parser.parse_args()
    report: dict[str, Any] = {"environment": environment(), "operations": [], "threads": None}
    for protocol in (arguments.protocol,) if arguments.protocol else PROTOCOLS:
        with served(protocol, TABLE, ROWS) as server:
            for name, (times, use) in USES.items():
                if arguments.only not in name:
                    continue
                ours, theirs = compared(server, protocol, use, times, arguments.rounds)
                report["operations"].append({
                    "name": PARTS.get(name, (name, 1))[0], "protocol": protocol,
                    "ours_ns": ours, "theirs_ns": theirs, "parts": PARTS.get(name, (name, 1))[1],
                })  # fmt: skip
                most = MOST.get((name, protocol))
                print(
                    f"{protocol:8}{name:28}{theirs / 1e3:10.2f} us{ours / 1e3:10.2f} us{ours / theirs:8.3f}"
                    + (f"   at most {most}: {'yes' if ours / theirs <= most else 'no'}" if most else ""),
                    flush=True,
                )
    if arguments.only in THREADS and arguments.protocol != "compact":
        with served("binary", TABLE, ROWS) as server:
            replies = recorded(lambda c: c.table(TABLE).row(b"row-10"), host=server.host, port=server.port)
        theirs, ours = threads.compared(replies, arguments.turns, 1.0)
        print(f"{THREADS}: {theirs:,.0f} and {ours:,.0f} a second, {ours / theirs:.2f} times; to reach: 2 times")
        report["threads"] = {"ours_per_s": ours, "theirs_per_s": theirs}
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
