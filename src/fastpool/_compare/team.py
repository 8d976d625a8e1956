"""Threads that begin together: a side of a comparison, worked off by several at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .ratios import Cycles

_PATIENCE = 120.0


@contextmanager
def team(cycles: Cycles, threads: int) -> Iterator[Cycles]:
    """Give a function that does as many ``cycles`` in all, shared by ``threads`` threads that exist already."""
    begin, end = threading.Barrier(threads + 1), threading.Barrier(threads + 1)
    share = 0
    errors: list[BaseException] = []

    def work() -> None:
        while True:
            begin.wait()
            if not share:
                return
            try:
                cycles(share)
            except BaseException as error:  # raised again where the cycles were asked for
                errors.append(error)
            end.wait(_PATIENCE)

    def together(n: int) -> None:
        nonlocal share
        share = max(1, n // threads)
        begin.wait(_PATIENCE)
        end.wait(_PATIENCE)
        if errors:
            raise errors[0]

    running = [threading.Thread(target=work, name=f"team-{number}", daemon=True) for number in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield together
    finally:
        share = 0
        begin.wait(_PATIENCE)
        for thread in running:
            thread.join(_PATIENCE)
