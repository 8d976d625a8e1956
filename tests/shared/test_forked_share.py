"""A forked child and the shared name of its parent's pool: it joins anew when it can, and counts as itself only."""

from __future__ import annotations

import os

import pytest

from tests.process._scripts import run

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    pytest.mark.usefixtures("party"),
]

PRELUDE = """
import os, sys, warnings
import fastpool
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 on: a fork with threads running is what is tested here

class Driver(fastpool.Driver):
    abandoned = 0
    def connect(self, server, timeout):
        return type("Connection", (), {"close": lambda self: None})()
    def abandon(self, c):
        self.abandoned += 1

driver = Driver()
pool = fastpool.Pool(driver=driver, shared="forked", shared_max=2, min_size=1, timeout=20)

def in_child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    pool.close(timeout=0)
    print("well")
"""


def well(program: str) -> None:
    assert run(PRELUDE + program) == "well\n"


def test_the_parents_connections_are_abandoned_also_if_the_name_cannot_be_joined() -> None:
    well("""
def work():
    os.environ["FASTPOOL_SHARED_DIR"] = "/nonexistent/folder"
    try:
        pool.checkout()
    except fastpool.PoolError as error:
        assert "/nonexistent/folder" in str(error), error
    else:
        raise AssertionError("it joined")
    assert driver.abandoned == 1, driver.abandoned
in_child(work)
""")


def test_a_child_that_could_not_start_a_thread_joins_when_it_can() -> None:
    well("""
import fastpool._shared.sharing as sharing
def work():
    start = sharing.start
    def refused(*args):
        raise RuntimeError("can't start new thread")
    sharing.start = refused
    try:
        pool.checkout()
    except RuntimeError as error:
        assert "can't start" in str(error), error
    else:
        raise AssertionError("it joined")
    sharing.start = start
    for _ in range(2):
        with pool.connection():
            assert pool.share.member.holding == 1
in_child(work)
""")


def test_a_child_that_asks_for_the_figures_leaves_its_parents_as_they_are() -> None:
    well("""
held = [pool.checkout() for _ in range(2)]
def seen():
    return [(told.pid, told.leased) for told in fastpool.shared_stats("forked")]
parent = os.getpid()
def work():
    assert seen() == [(parent, 2)], seen()
assert seen() == [(parent, 2)]
in_child(work)
""")
