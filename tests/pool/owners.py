"""Owners that end or drop what they hold, and the reports of that."""

import logging
import sys
import threading

import pytest

import fastpool
from fastpool._core import Core, thread_is_alive

from .fake_driver import until

WITH_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
COUNTED = pytest.mark.skipif(not WITH_GIL, reason="reference counts are not exact on a free-threaded build")


class Connection:
    """A connection to which only the pool refers."""

    closes = 0

    def close(self):
        self.closes += 1


def in_a_thread_that_ends(work):
    """Run it in a thread, and wait until the operating system, too, has ended the thread."""
    told = []
    thread = threading.Thread(target=lambda: told.extend((Core._thread_uid(), work())))
    thread.start()
    thread.join()
    until(lambda: not thread_is_alive(told[0]))
    return told[1]


def people(**options):
    """A pool of two connections, and the leaks that its listener was told of."""
    told = []
    listeners = [{"leak_suspected": told.append}]
    pool = fastpool.Pool(Connection, max_size=2, timeout=0.02, name="people", listeners=listeners, **options)
    pool.warm()
    return pool, told


def exhausted(pool):
    with pytest.raises(fastpool.NoConnectionsAvailable) as raised:
        pool.checkout()
    return raised.value


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def held_by_a_generator(pool):
    def block():
        with pool.connection() as c:
            yield c

    generator = block()
    next(generator)
    return generator
