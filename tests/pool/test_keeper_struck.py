"""Interruptions of the keeper: a thread that dies or cannot be started, log handlers that raise, and anything that a
signal handler or a finalizer may do at any line."""

import ctypes
import itertools
import logging
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

import fastpool
from fastpool._keeper import crew as _crew
from fastpool._keeper import keeper as _keeper
from fastpool._keeper.keeper import keeper
from tests.pool.fake_driver import PATIENCE, Abort, Failure, Plain, Run, forget_earlier_pools, serves, until

SOURCES = str(Path(fastpool.__file__).parent)


@pytest.fixture(autouse=True)
def nobody_else():
    """Drop the pools that other tests left."""
    forget_earlier_pools()
    until(lambda: not keeper.running, "the keeper of earlier tests' pools being gone")


def lose_one(pool):
    lease = pool.connection()
    with lease:
        lease.discard()


class Handler(logging.Handler):
    def __init__(self, error):
        super().__init__()
        self.error, self.calls = error, 0

    def emit(self, record):
        self.calls += 1
        raise self.error


@pytest.fixture
def handler(request):
    handler = Handler(request.param)
    logging.getLogger("fastpool").addHandler(handler)
    yield handler
    logging.getLogger("fastpool").removeHandler(handler)


# ---- the thread ends, or should


@pytest.mark.parametrize("handler", [Failure("log"), Abort(), SystemExit()], indirect=True, ids=repr)
def test_a_log_handler_that_raises_does_not_end_the_keeper(handler):
    bad, good = Plain(), Plain()
    first, second = bad.pool(min_size=1), good.pool(min_size=1)
    bad.connecting.mode = Failure("down")
    lose_one(first)
    until(lambda: handler.calls)
    lose_one(second)
    until(lambda: len(second) == 1)
    bad.connecting.mode = "ok"
    until(lambda: len(first) == 1)
    first.close()
    second.close()


def strike(thread, error):
    """Raise an exception at the thread's next instruction, as a debugger can."""
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error)) == 1


@pytest.mark.parametrize("error", [SystemExit, Failure, KeyboardInterrupt])
def test_an_exception_from_another_thread_does_not_end_the_keeper(error):
    pool = Plain().pool(min_size=1)
    [thread] = [thread for thread in threading.enumerate() if thread.name == "fastpool-keeper"]
    until(lambda: keeper._asleep)
    for _ in range(20):
        strike(thread, error)
        lose_one(pool)
        until(lambda: len(pool) == 1)
    assert thread in threading.enumerate()
    pool.close()


def kill_the_keeper(monkeypatch):
    """End its thread in the middle of a round, with its jobs unfinished, as interpreter exit would."""
    with monkeypatch.context() as patch:
        ending = SimpleNamespace(is_finalizing=lambda: keeper.crew.desk.called.clear() or True)
        patch.setattr(_keeper, "sys", ending)
        keeper.wake()
        until(lambda: not keeper.running, "the keeper's end")


killed = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@killed
def test_its_thread_can_be_joined_as_any_other(monkeypatch):
    pool = Plain().pool(min_size=1)
    [thread] = [thread for thread in threading.enumerate() if thread.name == "fastpool-keeper"]
    until(lambda: keeper._asleep)
    thread.join(0.01)
    assert thread.is_alive()
    kill_the_keeper(monkeypatch)
    thread.join(20)
    assert not thread.is_alive()
    pool.close()


@killed
def test_a_keeper_that_is_dead_is_started_anew_when_a_connection_is_lost(monkeypatch):
    pools = [Plain().pool(min_size=1) for _ in range(3)]
    kill_the_keeper(monkeypatch)
    for pool in pools:
        pool._make_stale()
    lose_one(pools[0])
    until(lambda: all(len(pool) == 1 for pool in pools))
    for pool in pools:
        pool.close()
    until(lambda: not keeper.running)


@killed
def test_a_keeper_that_is_dead_is_started_anew_by_a_checkout_that_cannot_be_had_at_once(monkeypatch):
    pool = Plain().pool(idle_timeout=60)
    serves(pool, 1)
    kill_the_keeper(monkeypatch)
    with pool.connection():
        assert not keeper.running  # the fast path does not ask
        with pool.connection():
            assert keeper.running
    pool.close()


# ---- the first use fails


@pytest.fixture
def no_threads(monkeypatch):
    """The keeper and its helpers get no thread; those that connect for tasks do."""

    def refuse(*_):
        tried.append(1)
        raise RuntimeError("can't start new thread")

    def start(post, name, work):
        post.fill(refuse, work)

    tried = []
    for module in (_keeper, _crew):
        monkeypatch.setattr(module, "start", start)
    return tried


@pytest.mark.parametrize("how", ["threads", "tasks", "tasks of an AsyncPool"])
def test_a_first_use_succeeds_without_the_keeper_and_a_later_one_tries_again(how, no_threads, caplog, monkeypatch):
    import asyncio

    def check_out(count):
        if how == "threads":
            serves(pool, count)
        else:
            loop.run_until_complete(check_out_in_tasks(count))

    async def check_out_in_tasks(count):
        blocks = [getattr(pool, "aconnection", pool.connection)() for _ in range(count)]
        for block in blocks:
            await block.__aenter__()
        for block in blocks:
            await block.__aexit__(None, None, None)

    loop = asyncio.new_event_loop()
    kind = fastpool.AsyncPool if how == "tasks of an AsyncPool" else fastpool.Pool
    pool = kind(driver=Plain(), idle_timeout=60, open=False)
    check_out(1)
    check_out(2)
    assert len(no_threads) >= 2
    assert not keeper.running
    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"fastpool-keeper", "fastpool-helper"}
    [record] = caplog.records
    assert "thread could not be started" in record.getMessage() and "can't start new thread" in record.getMessage()
    monkeypatch.undo()
    check_out(3)
    assert keeper.running
    if kind is fastpool.Pool:
        pool.close()
    else:
        loop.run_until_complete(pool.close())
    until(lambda: not keeper.running)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_a_listener_of_the_first_use_that_is_struck_does_not_leave_the_pool_without_its_keeper():
    def once(event):
        if strikes:
            raise strikes.pop()

    strikes = [KeyboardInterrupt()]
    pool = Plain().pool(idle_timeout=60, open=False, listeners=[{"pool_opened": once}])
    with pytest.raises(KeyboardInterrupt):
        pool.checkout()
    serves(pool, 1)
    assert keeper.running
    pool.close()


def test_where_threading_has_no_list_for_it_the_keeper_works_all_the_same(monkeypatch):
    monkeypatch.setattr(threading.Thread, "_bootstrap", property())  # hasattr does not see it
    before = set(threading.enumerate())
    pool = Plain().pool(min_size=1)
    lose_one(pool)
    until(lambda: len(pool) == 1)
    assert keeper.running
    assert set(threading.enumerate()) <= before
    pool.close()
    until(lambda: not keeper.running)


# ---- at every line


class Lines:
    """Runs a function at the n-th line of fastpool's own code in this thread, as a signal handler would run."""

    def __init__(self, number, action):
        self.left, self.action = number, action
        self.struck = False

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(SOURCES):
            return None
        if event == "line" and not self.struck:
            self.left -= 1
            if self.left < 0:
                self.struck = True
                self.action()
        return self

    def during(self, call):
        sys.settrace(self)
        try:
            call()
        except Abort:
            pass
        finally:
            sys.settrace(None)


def raises(pool):
    raise Abort


def closes_it(pool):
    pool.close()


def uses_it(pool):
    with pool.connection():
        pass


def makes_another(pool):
    another = Plain().pool(min_size=1, keepalive=60)
    lose_one(another)
    another.close()


def drops_one(pool):
    """A finalizer that uses and closes a pool, as the collector may run one at any line."""

    class Dropped:
        def __del__(self):
            another = Plain().pool(open=False, idle_timeout=60)
            serves(another, 1)
            another.close()

    Dropped()


def at_every_line(one):
    """Strike at each line in turn until the call has no further line; in a thread, so that a hang is noticed."""
    run = Run(lambda: next(number for number in itertools.count() if not one(number)))
    run.thread.join(6 * PATIENCE)
    assert run.result() > 10


ACTIONS = [raises, closes_it, uses_it, makes_another, drops_one]
CALLS = {
    "first use": lambda pool: serves(pool, 1),
    "open": lambda pool: pool.open(),
    "lost": lambda pool: (pool.open(), lose_one(pool)),
    "resize": lambda pool: (pool.open(), pool.resize(min_size=2)),
    "close": lambda pool: (pool.open(), pool.close()),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_whatever_a_handler_does_at_any_line_of_a_call(action, call):
    """Nothing hangs, and afterwards the pool works, and has its keeper unless it was closed."""

    def one(number):
        pool = Plain().pool(min_size=1, idle_timeout=60, open=False)
        lines = Lines(number, lambda: action(pool))
        try:
            lines.during(lambda: call(pool))
        except fastpool.PoolError:
            assert pool.closed
        if not pool.closed:
            serves(pool, 3)
            assert keeper.running
            until(lambda: len(pool) >= 1)
            pool.close()
        return lines.struck

    at_every_line(one)
    until(lambda: not keeper.running, "the keeper's end")


@killed
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_whatever_happens_at_any_line_of_the_keepers_own(action, monkeypatch):
    monkeypatch.setattr(_keeper, "_AGAIN_S", 0.001)
    monkeypatch.setattr(_keeper, "_BREATH_S", 0.001)

    def one(number):
        ready = threading.Event()
        pool = Plain().pool(min_size=2, idle_timeout=60, open=False)
        lines = Lines(number, lambda: (ready.wait(PATIENCE), action(pool)))
        threading.settrace(lines)
        try:
            pool.open()
            ready.set()
            for _ in range(2):
                try:
                    lose_one(pool)
                except fastpool.PoolClosed:
                    assert pool.closed
            # an exception where nothing is caught ends the thread, and the next need starts it again
            until(lambda: pool.closed or (not keeper.running and lose_one(pool)) or len(pool) >= 2)
            assert pool.closed or keeper.running
            until(lambda: keeper.settled, "the keeper's round")  # otherwise the number of lines would be random
            pool.close()
            until(lambda: not keeper.running, "the keeper's end")
        finally:
            threading.settrace(None)
        return lines.struck

    at_every_line(one)
