"""fork while other threads and greenlets hold, wait and connect."""

from __future__ import annotations

import os

import pytest

from ._forking import forking

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.mark.parametrize("uses", [True, False], ids=["uses-it", "never-uses-it"])
def test_one_thread_holds_one_waits_and_one_connects(uses: bool) -> None:
    forking(
        f"""
import fastpool, time
from _wire import Client

class Connecting:
    hold = False
    entered, go = threading.Event(), threading.Event()
    def __call__(self):
        if self.hold:
            self.entered.set()
            assert self.go.wait(20)
        return Client(server.address)

def until(holds):
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline, pool
        time.sleep(0.001)

connecting, leave, ends = Connecting(), threading.Event(), []
pool = fastpool.Pool(connecting, max_size=2, timeout=20)

def hold():
    with pool.connection() as c:
        c.ask("holding")
        assert leave.wait(20)
        c.ask("still holding")
    ends.append("held")

def use(what):
    with pool.connection() as c:
        c.ask(what)
    ends.append(what)

threads = [threading.Thread(target=hold)]
threads[0].start()
until(lambda: pool.stats().leased == 1)
connecting.hold = True
threads.append(threading.Thread(target=use, args=("connected",)))
threads[1].start()
assert connecting.entered.wait(20)
threads.append(threading.Thread(target=use, args=("waited",)))
threads[2].start()
until(lambda: pool.stats().waiting == 1)

def child():
    connecting.hold = False
    if {uses}:
        work_at_once(pool)
        with pool.connection(timeout=5) as one, pool.connection(timeout=5) as two:
            one.ask("child"), two.ask("child")
        assert pool.stats().idle == 2 and pool.stats().waiting == 0, pool.stats()

ended_well(in_child(child))
untouched(server, me, 1)
assert (pool.stats().leased, pool.stats().connecting, pool.stats().waiting) == (1, 1, 1), pool.stats()
connecting.go.set()
leave.set()
for thread in threads:
    thread.join(20)
assert sorted(ends) == ["connected", "held", "waited"], ends
assert pool.stats().connects == len(pool) == pool.stats().idle <= 2, pool.stats()
untouched(server, me, 1)
"""
    )


def test_a_fork_in_a_greenlet_that_holds_while_others_hold_and_wait() -> None:
    pytest.importorskip("gevent")
    forking(
        """
import gevent, gevent.os
gevent.get_hub().loop.install_sigchld()  # fork_and_watch does it after the fork: the child may have ended by then
pool = pool_on(server, max_size=2, timeout=20)
go, ends = gevent.event.Event(), []

def hold():
    with pool.connection() as c:
        c.ask("holding")
        go.wait()
        c.ask("holding")
    ends.append("held")

def wait():
    with pool.connection() as c:
        c.ask("waited")
    ends.append("waited")

def fork():
    with pool.connection() as c:
        c.ask("before")
        gevent.spawn(wait)
        while pool.stats().waiting == 0:
            gevent.sleep(0)
        pid = gevent.os.fork_and_watch()
        if pid == 0:
            code = 1
            try:
                with pool.connection(timeout=5) as mine:
                    assert mine is not c
                    mine.ask("child")
                while not ends:  # who waited in the parent waits here as well, and is served by a pool that has room
                    gevent.sleep(0)
                assert ends == ["waited"]
                code = 0
            except BaseException:
                import traceback
                traceback.print_exc()
            os._exit(code)
        while True:
            done, status = gevent.os.waitpid(pid, os.WNOHANG)
            if done:
                break
            gevent.sleep(0.002)
        assert os.waitstatus_to_exitcode(status) == 0
        untouched(server, me, 2)
        assert ends == [] and pool.stats().waiting == 1
        c.ask("after")

holder = gevent.spawn(hold)
while pool.stats().leased == 0:
    gevent.sleep(0)
forking = gevent.spawn(fork)
forking.get(timeout=30)
go.set()
holder.get(timeout=10)
while len(ends) < 2:
    gevent.sleep(0)
untouched(server, me, 2)
assert pool.stats().connects == 2 and pool.stats().idle == 2, pool.stats()
"""
    )


def test_busy_threads_at_twenty_forks() -> None:
    forking(
        """
pool = pool_on(server, max_size=2)
stop = threading.Event()

def busy():
    while not stop.is_set():
        with pool.connection() as c:
            c.ask("parent")

threads = [threading.Thread(target=busy) for _ in range(6)]
for thread in threads:
    thread.start()
for n in range(20):
    ended_well(in_child(lambda: (work_at_once(pool), pool.close())))
stop.set()
for thread in threads:
    thread.join(20)
    assert not thread.is_alive()
assert pool.stats().idle == len(pool) <= 2 and pool.stats().connects == 2, pool.stats()
mine = [lines for lines in server.heard if lines and lines[0].startswith(b"%d " % me)]
assert len(mine) == 2
assert "encodings.idna" not in sys.modules, "a child forked during that import would wait for it for ever"
assert all(line.startswith(b"%d " % me) for lines in mine for line in lines)
"""
    )
