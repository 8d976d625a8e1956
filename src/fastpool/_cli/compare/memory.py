"""How much memory a pool takes for each connection that it keeps."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SLOTS = 40_000


def bytes_per_slot(connect: Callable[[], Any]) -> float | None:
    """Bytes of memory per idle slot of a large fastpool.Pool, beyond its connection; None where that is unknown."""
    if resident() is None:
        return None
    from fastpool import Pool

    connections = [connect() for _ in range(_SLOTS)]
    supply = iter(connections)
    gc.collect()
    before = resident()
    with Pool(supply.__next__, max_size=_SLOTS, close=lambda c: None) as pool:
        pool.warm()
        after = resident()
    assert before is not None and after is not None
    return max(0.0, (after - before) / _SLOTS)


def resident() -> int | None:
    """Bytes of memory that this process occupies; None if the system does not tell."""
    try:
        import psutil
    except ImportError:
        pass
    else:
        return int(psutil.Process().memory_info().rss)
    try:
        from resource import getpagesize

        return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()
    except (ImportError, OSError):
        return None
