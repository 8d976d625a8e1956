"""Threads of a forked child that use the pool for the first time at the same moment."""

from __future__ import annotations

import os

import pytest

from tests.shared._party import Party

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
PROGRAM = """
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    import fastpool._shared.sharing as sharing
    real, made, both = sharing.joining.join, [], threading.Barrier(2)
    def join(*args):
        made.append(args)
        try:
            both.wait(1)  # a second thread that joins, too, comes here; else the time is over
        except threading.BrokenBarrierError:
            pass
        return real(*args)
    sharing.joining.join = join
    def use():
        with pool.connection():
            time.sleep(0.01)
    threads = [threading.Thread(target=use) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join(20) for thread in threads]
    rows = len([row for row in pool.share.member.holders() if row[1] == os.getpid()])
    os.write(w, json.dumps([len(made), rows, any(thread.is_alive() for thread in threads)]).encode())
    os._exit(0)
answer = json.loads(os.read(r, 100))
os.waitpid(pid, 0)
"""


def test_they_join_once(party: Party) -> None:
    worker = party.worker(shared_max=4)
    worker.do("take(); give(); pool.clear()")
    assert worker.do(PROGRAM) == [1, 1, False], "joins, rows of the child, threads that hang"
