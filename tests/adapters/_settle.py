"""Checks that a pool recovered from faults: its size, its replies and its descriptors are as before."""

from __future__ import annotations

import gc
import os
import select
import threading
from collections.abc import Callable
from typing import Any

from ._scripted import row


def descriptors() -> int:
    """The number of open descriptors of this process, garbage collected first."""
    gc.collect()
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return len(os.listdir(folder))


def wait_until_readable(*socks: Any) -> None:
    """Wait until each socket has data or an end of file to read."""
    for sock in socks:
        assert select.select([sock], [], [], 10)[0]


def all_at_once(pool: Any, size: int) -> None:
    """``size`` threads hold a connection at the same time, and each reads its own rows."""
    together = threading.Barrier(size)
    good: list[int] = []

    def use(number: int) -> None:
        with pool.connection(timeout=10) as c:
            together.wait(10)
            for i in range(5):
                key = b"%d:%d" % (number, i)
                assert c.table("t").row(key) == row(key)
            good.append(id(c))

    threads = [threading.Thread(target=use, args=(n,)) for n in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(set(good)) == size
    stats = pool.stats()
    assert (stats.leased, stats.idle, stats.connecting, stats.waiting) == (0, size, 0, 0)


def child_and_parent_ask(pool: Any, ask: Callable[[Any, bytes], object]) -> None:
    """A forked child uses and closes the pool, and then the parent goes on with it."""
    ask(pool, b"before")
    pid = os.fork()
    if pid == 0:
        try:
            ask(pool, b"child's")
            pool.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    ask(pool, b"parent's")
