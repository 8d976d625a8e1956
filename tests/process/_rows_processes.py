"""multiprocessing around one pool: `main(method)` prints the answers of two processes of several threads each."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from . import _rows_app as app
from ._rows import ROWS

THREADS = 5
given: Any = None  # the pool as it came into this process


def take(pool: Any) -> None:
    """The initializer of each process."""
    global given
    given = pool


def some(numbers: range) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(partial(app.ask, through=given), numbers))


def main(method: str) -> None:
    """Read rows in processes started by ``method``; then in this one, on the connection that it had before."""
    before = app.ask(0)
    with multiprocessing.get_context(method).Pool(2, take, (app.pool,)) as processes:
        shares = [range(start, start + 10) for start in range(0, ROWS, 10)]
        answers = [one for share in processes.map(some, shares, chunksize=1) for one in share]
        processes.close()
        processes.join()
    after = app.ask(1)
    assert (after["pid"], after["port"]) == (before["pid"], before["port"]) and app.pool.stats().connects == 1
    print(json.dumps(answers))
