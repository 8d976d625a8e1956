"""A scan of many rows through a pool, in the client's processor time: the server's is that of another process."""

from __future__ import annotations

from typing import Any

from .load import FAMILY
from .ratios import OWN_TIME

COLUMNS = 2

_TABLE = "bench_scan"


def fill(pool: Any, rows: int) -> None:
    """Make the table that is scanned."""
    values = {f"{FAMILY}:column-{i}".encode(): b"v" * 20 for i in range(COLUMNS)}
    with pool.connection() as connection:
        connection.create_table(_TABLE, {FAMILY: {}})
        with connection.table(_TABLE).batch(batch_size=COLUMNS * 2_000) as batch:
            for i in range(rows):
                batch.put(b"%05d" % i, values)


def scan_s(pool: Any, rows: int) -> float:
    """Scan all ``rows`` rows; the seconds of this thread's processor time that it took."""
    begin = OWN_TIME()
    with pool.connection() as connection:
        found = sum(1 for _ in connection.table(_TABLE).scan())
    took = (OWN_TIME() - begin) / 1e9
    if found != rows:
        raise RuntimeError(f"the scan gave {found} rows, not {rows}")
    return took
