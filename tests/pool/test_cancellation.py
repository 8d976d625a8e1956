"""Each driver call ends in every way at every moment: the pool keeps its capacity, and every count is exact.

{connect, check, reset, close} × {ok, error, BaseException, slow, never} × {timeout, KeyboardInterrupt}, after the
matrix of deadpool; "never" is held until the end of the test, and the rest of the pool must work meanwhile.
"""

import _thread
import ctypes
import functools
import gc
import operator
import signal
import threading
import time
import traceback

import pytest

from fastpool import NoConnectionsAvailable
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import PATIENCE, Abort, Failure, FakeDriver, Run, balanced, holding, serves, until, waiting

STAGES = ("connect", "check", "reset", "close", "replace")
ENDS = ("ok", "error", "base", "slow", "never")
SIZE = 3


@pytest.fixture(autouse=True)
def no_collector():
    """An interrupt in a weak reference's callback, which the collector may call, would be printed and lost."""
    gc.disable()
    yield
    gc.enable()


class Case:
    """A pool with one connection, unused for long, and the driver call that is about to be held or to fail."""

    def __init__(self, clock, stage, size=SIZE):
        self.driver = FakeDriver()
        self.pool = self.driver.pool(max_size=size, max_connecting=size, timeout=5)
        self.stage = stage
        if stage != "connect":
            serves(self.pool, 1)
            clock.advance(1)
        if stage == "replace":
            self.driver.made[0].dead = True
        steps = {
            "connect": self.driver.connecting,
            "check": self.driver.checking,
            "reset": self.driver.resetting,
            "close": self.driver.closing,
            "replace": self.driver.closing,  # in a checkout, of the dead connection
        }
        self.step = steps[stage]

    def work(self):
        """A checkout and a checkin that make the driver call, in the calling thread."""
        lease = self.pool.connection()
        with lease as c:
            if self.stage == "close":
                lease.discard()
        return c

    def free_meanwhile(self, size=SIZE):
        """The number of connections that others can have while one caller is held in the call."""
        return size if self.stage in ("close", "replace") else size - 1

    def over(self, size=SIZE, unclosed=0):
        """Check that no connection, slot, permit or count is lost.

        ``unclosed``: how often an interrupt came in the driver's close itself, at its first instruction.
        """
        self.step.mode = "ok"
        self.step.released.set()
        for c in self.driver.made:
            c.dead = False
        serves(self.pool, size)
        with holding(self.pool, size):
            with pytest.raises(NoConnectionsAvailable):
                self.pool.checkout(timeout=0)
        stats = balanced(self.pool)
        assert len(self.driver.open) - unclosed == stats.size == size
        assert all(c.closes <= 1 for c in self.driver.made)


def outcome(run):
    try:
        run.result()
    except BaseException as error:
        return type(error)
    return None


# What the caller sees if its driver call ends by itself: a failed check means a dead connection, a failed reset costs
# the connection, a failed close is ignored; what is not an Exception is raised.
SEEN = {
    ("connect", "error"): Failure,
    ("connect", "base"): Abort,
    ("check", "base"): Abort,
    ("reset", "base"): Abort,
    ("close", "base"): Abort,
    ("replace", "base"): Abort,
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("stage", STAGES)
def test_timeout(stage, end):
    with VirtualClock() as clock:
        case = Case(clock, stage)
        if end in ("slow", "never"):
            case.step.hold()
            run = Run(case.work)
            case.step.held()
            clock.advance(10)  # the caller's deadline has passed
            case.step.mode = "ok"  # for the other callers
            if end == "never":
                serves(case.pool, case.free_meanwhile())
            case.step.go()
            # A late success counts as a success; only the replacement has no time left to begin.
            assert outcome(run) is (NoConnectionsAvailable if stage == "replace" else None)
        else:
            case.step.mode = {"ok": "ok", "error": Failure(), "base": Abort()}[end]
            assert outcome(Run(case.work)) is SEEN.get((stage, end))
        case.over()


def interrupt(run):
    """Raise KeyboardInterrupt in that thread, at one of its next instructions."""
    ident = ctypes.c_ulong(run.thread.ident)
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(KeyboardInterrupt)) == 1


def fail_interrupted(error):
    """Raise it with an interrupt pending, which comes at the next instruction, where the error is being handled.

    Only C runs between the two; otherwise the interrupt would come before the error.
    """
    nothing = (_ for _ in ())
    list(map(operator.call, (_thread.interrupt_main, functools.partial(nothing.throw, error))))


def test_failing_interrupted():
    """The error is raised, and then the interrupt while it is handled."""
    handled = []
    with pytest.raises(KeyboardInterrupt) as caught:
        try:
            fail_interrupted(Failure())
        except Failure as error:
            handled.append(error)
            until(lambda: False)
    assert isinstance(caught.value.__context__, Failure)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("stage", STAGES)
def test_keyboard_interrupt(stage, end):
    """A signal in the main thread, while the call runs or while its end is handled."""
    with VirtualClock() as clock:
        case = Case(clock, stage)
        begun, release = [], []  # an interrupt in Event.set would leave its lock taken (3.14)

        def step():
            case.step.mode = "ok"
            begun.append(True)
            if end in ("slow", "never"):
                while not release:
                    time.sleep(0.0005)
            elif end == "ok":
                signal.raise_signal(signal.SIGINT)
            else:
                fail_interrupted(Failure() if end == "error" else Abort())

        def interrupt_main():
            until(lambda: begun, "the step")
            if end == "never":
                serves(case.pool, case.free_meanwhile())
            _thread.interrupt_main()
            if end == "slow":
                release.append(True)  # ends at the same moment

        helper = Run(interrupt_main if end in ("slow", "never") else lambda: None)
        case.step.mode = step
        try:
            with pytest.raises(KeyboardInterrupt) as caught:
                case.work()
                until(lambda: False)  # the call was over first, and the signal comes here
        finally:
            release.append(True)
            helper.result()
        # After a failed call comes a close, and the interrupt may come in that.
        struck = [frame.name for frame in traceback.extract_tb(caught.tb)] if end in ("error", "base") else []
        case.over(unclosed=struck.count("close") if stage in ("check", "reset") else 0)


@pytest.mark.parametrize("stage", STAGES)
def test_an_exception_sent_to_a_thread(stage):
    with VirtualClock() as clock:
        case = Case(clock, stage)
        begun = []  # no Event, because the exception may come in its `set`

        def step():
            case.step.mode = "ok"
            begun.append(True)
            until(lambda: False)

        case.step.mode = step
        run = Run(case.work)
        until(lambda: begun, "the step")
        interrupt(run)
        assert outcome(run) is KeyboardInterrupt
        case.over()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_waiter_is_served_however_the_call_ends(stage, end):
    """There is one slot, and a caller waits for it without a deadline."""
    with VirtualClock() as clock:
        case = Case(clock, stage, size=1)
        begun, release = threading.Event(), threading.Event()

        def step():
            case.step.mode = "ok"
            begun.set()
            if end != "never" or stage not in ("close", "replace"):
                assert release.wait(PATIENCE)
            else:
                assert served.wait(PATIENCE), "the waiter was not served while this close hung"
            if end == "error":
                raise Failure
            if end == "base":
                raise Abort

        served = threading.Event()
        case.step.mode = step
        run = Run(case.work)
        assert begun.wait(PATIENCE)
        late = Run(case.pool.checkout, None)
        if stage not in ("close", "replace"):
            waiting(case.pool, 1)
            release.set()
        c = late.result()
        served.set()
        release.set()
        case.pool.checkin(c)
        outcome(run)
        case.over(size=1)


# ---- in line


@pytest.mark.parametrize("others", [0, 1, 3])
def test_an_interrupt_in_line(others):
    """The main thread waits in line; Ctrl-C ends its wait, and the other waiters are served."""
    driver = FakeDriver()
    pool = driver.pool(max_size=1, timeout=None)
    with holding(pool):
        before = [Run(pool.checkout) for _ in range(others)]
        waiting(pool, others)

        def interrupt_main():
            waiting(pool, others + 1)
            _thread.interrupt_main()

        helper = Run(interrupt_main)
        with pytest.raises(KeyboardInterrupt):
            pool.checkout()  # without a deadline: a wait that is not interrupted lasts until the test fails
        helper.result()
        waiting(pool, others)
        assert pool.stats().cancelled == 1
    for run in before:
        pool.checkin(run.result())
    serves(pool, 1)
    balanced(pool)


def test_a_slot_handed_over_at_the_moment_of_the_interrupt_goes_to_the_next():
    """Repeated, so that the interrupt and the hand-over coincide at times."""
    driver = FakeDriver()
    pool = driver.pool(max_size=1, timeout=None)
    outcomes = []
    for n in range(60):
        c = pool.checkout()
        go = threading.Barrier(2)

        def meet(c=c, go=go, n=n):
            waiting(pool, 1)
            go.wait(PATIENCE)
            if n % 2:
                pool.checkin(c)
                _thread.interrupt_main()
            else:
                _thread.interrupt_main()
                pool.checkin(c)

        helper = Run(meet)
        release = Run(go.wait, PATIENCE)
        mine = None
        try:
            mine = pool.checkout()
            outcomes.append("got it")
            until(lambda: False)
        except KeyboardInterrupt:
            if mine is None:
                outcomes.append("gave up")
        helper.result()
        release.result()
        if mine is not None:
            pool.checkin(mine)
        serves(pool, 1)
    assert len(outcomes) == 60
    balanced(pool)


@pytest.mark.usefixtures("no_log")
def test_alarms_at_any_instruction():
    """A signal handler that raises, at random moments of checkouts and checkins of all kinds."""
    driver = FakeDriver()
    pool = driver.pool(max_size=2, check_after=0, max_uses=3)
    hits = 0

    def strike(*_):
        raise KeyboardInterrupt

    others = gc.callbacks[:]  # Hypothesis's callback, where an exception cannot be raised
    gc.callbacks.clear()
    before = signal.signal(signal.SIGALRM, strike)
    try:
        end = time.monotonic() + 0.6
        delay = 0.00001
        while time.monotonic() < end or hits <= 20:
            delay = delay * 1.07 if delay < 0.0004 else 0.00001
            try:
                signal.setitimer(signal.ITIMER_REAL, delay)
                for _ in range(50):
                    with pool.connection(timeout=5), pool.connection(timeout=5):
                        pass
            except KeyboardInterrupt:
                hits += 1
            finally:
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    hits += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.callbacks.extend(others)
    assert hits > 20
    serves(pool, 2)
    stats = balanced(pool)
    assert stats.leased == 0
