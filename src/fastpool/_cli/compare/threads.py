"""Threads for comparisons: a new one for each, or several that begin together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from .ratios import Cycles

_PATIENCE = 120.0

T = TypeVar("T")


def in_a_thread_of_its_own(do: Callable[[], T]) -> T:
    """Return what ``do()`` returns, called in a new thread, without the thread-local state of earlier comparisons."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(do())
        except BaseException as error:  # raised again where the result was asked for
            errors.append(error)

    thread = threading.Thread(target=work, name="comparison", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


@contextmanager
def run_in_threads(cycles: Cycles, threads: int) -> Iterator[Cycles]:
    """Give a function of ``n`` that does ``n`` cycles in all, shared by ``threads`` running threads."""
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

    running = [threading.Thread(target=work, name=f"comparison-{number}", daemon=True) for number in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield together
    finally:
        share = 0
        begin.wait(_PATIENCE)
        for thread in running:
            thread.join(_PATIENCE)
