"""The keeper at a fork, and at interpreter exit."""

import os
import subprocess
import sys
import textwrap

import pytest

PROLOGUE = """
import os, sys, threading, time, fastpool
from fastpool._keeper.keeper import keeper

class C:
    made = 0
    def __init__(self):
        C.made += 1
    def close(self):
        pass

def until(condition):
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            os.write(2, b"has not come true")
            os._exit(9)
        time.sleep(0.001)
"""


def run(program: str, limit: float = 50) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", PROLOGUE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=limit,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.parametrize("how", ["pass", "sys.exit(0)", "pool.close()", "del pool"])
def test_the_interpreter_ends_with_the_keeper_asleep(how):
    out = run(f"""
        pool = fastpool.Pool(C, min_size=2, idle_timeout=3600)
        until(lambda: keeper.running)
        print("ends", flush=True)
        {how}
    """)
    assert out == "ends\n"


def test_the_interpreter_ends_with_the_keeper_at_work():
    out = run("""
        begun = threading.Event()

        def check(c):
            begun.set()
            time.sleep(3600)

        pool = fastpool.Pool(C, min_size=1, keepalive=0.001, check=check)
        begun.wait(20)
        print("ends", flush=True)
    """)
    assert out == "ends\n"


def test_the_interpreter_ends_while_others_wait():
    out = run("""
        pool = fastpool.Pool(C, max_size=1, min_size=1)
        held = pool.checkout()
        for _ in range(5):
            threading.Thread(target=pool.checkout, args=(None,), daemon=True).start()
        until(lambda: pool.stats().waiting == 5)
        print("ends", flush=True)
    """)
    assert out == "ends\n"


def test_a_pool_that_is_used_by_what_runs_at_exit():
    out = run("""
        import atexit
        pool = fastpool.Pool(C, min_size=1)

        def last():
            with pool.connection():
                print("used", flush=True)
            pool.close()
            print("closed", flush=True)

        atexit.register(last)
    """)
    assert out == "used\nclosed\n"


@pytest.mark.parametrize("opened", ["while the program runs", "at exit"])
def test_nothing_is_told_where_exit_allows_no_thread_any_more(opened: str) -> None:
    out = run(f"""
        import atexit
        from fastpool._keeper.crew import Crew
        from fastpool._keeper.keeper import Keeper
        refused = threading.Event()

        def noted(cls, name):
            real = getattr(cls, name)

            def note(self, error):
                real(self, error)
                refused.set()

            setattr(cls, name, note)

        def last():
            lease = pool.connection()
            with lease:
                lease.discard()
            try:
                threading.Thread(target=int).start()
            except RuntimeError:  # 3.12.0 and 3.12.1 start none while they end; others do later only
                assert refused.wait(20)
            pool.close()
            print("closed", flush=True)

        noted(Crew, "_say_once")
        noted(Keeper, "not_started")
        pool = fastpool.Pool(C, min_size=1, open={opened != "at exit"})
        atexit.register(last)
    """)
    assert out == "closed\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_has_no_keeper_until_it_uses_the_pool():
    out = run("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: forking with threads about, which is the point
        pool = fastpool.Pool(C, min_size=2, max_size=4)
        until(lambda: len(pool) == 2)
        pid = os.fork()
        if pid == 0:
            assert not keeper.running
            assert len(threading.enumerate()) == 1
            C.made = 0
            with pool.connection():
                pass
            until(lambda: keeper.running and len(pool) == 2)
            assert C.made == 2
            pool.close()
            until(lambda: not keeper.running)
            print("child", flush=True)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert keeper.running and len(pool) == 2 and C.made == 2
        lease = pool.connection()
        with lease:
            lease.discard()
        until(lambda: len(pool) == 2)
        print("parent", flush=True)
    """)
    assert out == "child\nparent\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.parametrize(
    "use", ["pool.close()", "pool.clear()", "pool.resize(max_size=2)", "pool.stats()", "repr(pool)"]
)
def test_a_forked_child_never_closes_the_parents_connections_whatever_it_does_first(use):
    out = run(f"""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        closed, abandoned = [], []

        class Kind(fastpool.Driver):
            def connect(self, server, timeout):
                return C()
            def close(self, c):
                closed.append(c)
            def abandon(self, c):
                abandoned.append(c)

        pool = fastpool.Pool(driver=Kind(), max_size=4)
        pool.warm(3)
        pid = os.fork()
        if pid == 0:
            {use}
            assert (len(pool), len(closed), len(abandoned)) == (0, 0, 3), (len(pool), closed, abandoned)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert (len(pool), closed, abandoned) == (3, [], [])
        print("good", flush=True)
    """)
    assert out == "good\n"


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="open descriptors cannot be counted here")
def test_helpers_that_end_leave_no_loop_of_gevents_behind():
    """gevent makes a loop with descriptors of its own in each thread in which it is used."""
    pytest.importorskip("gevent")
    out = run("""
        from gevent import monkey
        monkey.patch_all()
        import gevent
        from fastpool._keeper import crew as _crew
        _crew._REST_S = 0.001  # so that each connect is made by a helper of its own

        def connect():
            gevent.sleep(0.001)
            return C()

        def lose_one():
            lease = pool.connection()
            with lease:
                lease.discard()
            until(lambda: len(pool) == 1)
            until(lambda: not keeper.crew._resting)

        pool = fastpool.Pool(connect, min_size=1)
        lose_one()
        before = len(os.listdir("/dev/fd"))
        for _ in range(20):
            lose_one()
        until(lambda: len(os.listdir("/dev/fd")) <= before + 2)
        print("good", flush=True)
        pool.close()
    """)
    assert out == "good\n"
