"""Opening a connection within a deadline, with servers that change, after a fork, and awaited."""

import asyncio
import gc
import random
import weakref

import pytest

from fastpool import AllServersUnavailable, PoolError
from fastpool._config import Config
from fastpool._connecting.connector import FAIR_TRIAL, Connector
from fastpool._connecting.without_traceback import without_traceback
from tests.pool.connecting_driver import NAMES, A, B, C, Refused, TimedDriver, open_


@pytest.fixture
def driver():
    return TimedDriver()


# ---- the deadline


def test_one_deadline_for_all_servers_together(driver):
    connector = driver.connector(servers=NAMES)
    driver.refuse(A, B)
    driver.takes = {A: 2, B: 3}
    assert open_(connector, driver, 10)[1] == C
    assert driver.asked == [(A, 10), (B, 8), (C, 5)]


def test_when_the_time_is_up_the_others_are_not_asked_and_the_message_says_so(driver):
    connector = driver.connector(servers=NAMES)
    driver.refuse(A, B, C)
    driver.takes = {A: 2, B: 3}
    with pytest.raises(AllServersUnavailable) as caught:
        open_(connector, driver, 5)
    assert driver.servers_asked() == [A, B]
    assert str(caught.value).splitlines()[-1] == "  c:3 was not tried: the time is up"
    assert str(caught.value.__cause__) == f"{B} says no"


def test_the_first_is_asked_even_if_no_time_is_left(driver):
    connector = driver.connector(servers=NAMES)
    assert open_(connector, driver, 0) == (f"connection to {A}", A)
    assert driver.asked == [(A, 0)]


def test_one_impatient_caller_does_not_put_a_server_down_but_two_in_a_row_do(driver):
    connector = driver.connector(servers=["a:1"], backoff=(10, 10))
    driver.refuse(A)
    driver.takes[A] = FAIR_TRIAL / 2
    with pytest.raises(Refused):
        open_(connector, driver, FAIR_TRIAL / 2)
    assert connector.states() == {}
    with pytest.raises(Refused):
        open_(connector, driver, FAIR_TRIAL / 2)
    assert connector.states()[A].refusals == 1


@pytest.mark.parametrize("was_down", [False, True])
def test_the_patient_ask_a_server_that_only_impatient_callers_have_given_up(driver, was_down):
    connector = driver.connector(servers=["a:1"], backoff=(10, 10))
    driver.refuse(A)
    if was_down:  # it refused by itself, so the back-off applies to callers with more time as well
        for patient in (False, True):
            with pytest.raises(Refused):
                connector.open(None, 30, dict, patient)
        assert len(driver.asked) == 1
        driver.now += 10
    driver.takes[A] = FAIR_TRIAL / 2
    for _ in range(2):
        with pytest.raises(Refused):
            open_(connector, driver, FAIR_TRIAL / 2)
    assert connector.states()[A].retry_in > 0
    driver.heal(A)
    with pytest.raises(Refused):
        open_(connector, driver, 30)
    assert connector.open(None, 30, dict, True)[1] == A
    assert connector.states() == {}


def test_the_patient_ask_undoubted_servers_first(driver):
    connector = driver.connector(servers=["a:1", "b:2"])
    driver.refuse(A)
    driver.takes[A] = FAIR_TRIAL / 2
    with pytest.raises(AllServersUnavailable):
        open_(connector, driver, FAIR_TRIAL / 2)
    for _ in range(3):
        assert connector.open(None, 30, dict, True)[1] == B


def test_a_success_in_between_clears_the_doubt(driver):
    connector = driver.connector(servers=["a:1"], backoff=(10, 10))
    driver.takes[A] = FAIR_TRIAL / 2
    for _ in range(3):
        driver.refuse(A)
        with pytest.raises(Refused):
            open_(connector, driver, FAIR_TRIAL / 2)
        driver.heal(A)
        assert open_(connector, driver, 5)[1] == A
    assert connector.states() == {}


def test_a_server_that_hangs_for_a_fair_time_is_down_at_once(driver):
    connector = driver.connector(servers=["a:1"], backoff=(10, 10))
    driver.refuse(A)
    driver.takes[A] = FAIR_TRIAL
    with pytest.raises(Refused):
        open_(connector, driver, FAIR_TRIAL)
    assert connector.states()[A].refusals == 1


# ---- servers that change


def test_a_callable_is_asked_at_each_connect(driver):
    current = [NAMES[:1], [B], (C,), iter(["a:1"])]
    calls = iter(current)
    connector = driver.connector(servers=lambda: next(calls))
    assert [open_(connector, driver)[1] for _ in current] == [A, B, C, A]


def test_what_the_callable_raises_is_what_the_caller_sees(driver):
    def servers():
        raise LookupError("no registry")

    with pytest.raises(LookupError, match="no registry"):
        open_(driver.connector(servers=servers), driver)


@pytest.mark.parametrize(("answer", "error"), [(None, TypeError), ("a:1", TypeError), (3, TypeError)])
def test_a_callable_that_answers_nonsense(driver, answer, error):
    with pytest.raises(error, match="servers"):
        open_(driver.connector(servers=lambda: answer), driver)


@pytest.mark.parametrize("answer", [[], (), iter(())])
def test_a_callable_that_gives_no_server_leaves_none_to_connect_to(driver, answer):
    with pytest.raises(AllServersUnavailable, match=r"servers\(\) gave no server"):
        open_(driver.connector(servers=lambda: answer), driver)


def test_a_callable_that_gives_no_server_for_a_moment_does_not_make_the_pool_forget_which_refused(driver):
    current = NAMES[:2]
    connector = driver.connector(servers=lambda: current, backoff=(10, 10))
    driver.refuse(A)
    open_(connector, driver)
    current = []
    with pytest.raises(AllServersUnavailable):
        open_(connector, driver)
    assert set(connector.states()) == {A}


def test_a_server_that_left_the_list_is_forgotten(driver):
    current = NAMES[:2]
    connector = driver.connector(servers=lambda: current, backoff=(10, 10))
    driver.refuse(A)
    open_(connector, driver)
    assert set(connector.states()) == {A}
    current = ["b:2", "c:3"]
    open_(connector, driver)
    assert connector.states() == {}


def test_back_off_holds_for_servers_of_a_callable_too(driver):
    connector = driver.connector(servers=lambda: NAMES[:2], backoff=(10, 10))
    driver.refuse(A)
    for _ in range(5):
        assert open_(connector, driver)[1] == B
    assert driver.servers_asked().count(A) == 1


# ---- fork


def test_a_child_begins_anew(driver):
    connector = driver.connector(servers=NAMES[:2], backoff=(10, 10))
    driver.refuse(A)
    open_(connector, driver)
    connector.reset_after_fork()
    assert connector.states() == {}
    driver.heal(A)
    assert {open_(connector, driver)[1] for _ in range(2)} == {A, B}


def test_children_draw_other_numbers_than_their_parent():
    parent, child = (Connector(TimedDriver(), Config.build(), print, float, random.Random(1)) for _ in range(2))
    child.reset_after_fork()
    assert [parent.health._rng.random() for _ in range(4)] != [child.health._rng.random() for _ in range(4)]


# ---- awaited


def test_the_same_awaited(driver):
    connector = driver.connector(servers=NAMES, backoff=(10, 10))
    driver.refuse(A)
    connect = driver.connect

    async def later(server, timeout):
        await asyncio.sleep(0)
        return connect(server, timeout)

    driver.connect = later
    assert asyncio.run(connector.aopen(None, 3, dict)) == (f"connection to {B}", B)
    driver.connect = connect
    assert asyncio.run(connector.aopen(None, 3, dict)) == (f"connection to {C}", C)
    assert set(connector.states()) == {A}
    driver.refuse(B, C)
    with pytest.raises(AllServersUnavailable):
        asyncio.run(connector.aopen(None, 3, dict))


def test_a_cancelled_connect_blames_nobody(driver):
    connector = driver.connector(servers=NAMES)

    async def never(server, timeout):
        await asyncio.get_running_loop().create_future()

    async def main():
        task = asyncio.create_task(connector.aopen(None, None, dict))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    driver.connect = never
    asyncio.run(main())
    assert connector.states() == {}


# ---- what is kept of an error


class Coded(Exception):
    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code


class Stubborn(Exception):
    def __new__(cls, code, *, key):
        return super().__new__(cls, code)

    def __init__(self, code, *, key):
        super().__init__(code)


def raised(error, cause=None):
    try:
        raise error from cause
    except type(error) as caught:
        return caught


@pytest.mark.parametrize(
    "error",
    [
        Refused("no"),
        Coded(7),
        ConnectionRefusedError(111, "Connection refused"),
        FileNotFoundError(2, "No such file", "there"),
        TimeoutError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        ImportError("no", name="x"),
        ExceptionGroup("two", [ValueError(1), OSError(2, "x")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_copy_without_traceback_is_equal_otherwise(error):
    original = raised(error)
    original.note = "kept"
    fresh = without_traceback(original)
    assert fresh is not original
    assert (type(fresh), str(fresh), fresh.note) == (type(original), str(original), "kept")
    assert fresh.args[:1] == original.args[:1]
    assert fresh.__traceback__ is None
    for field in ("errno", "strerror", "filename", "code", "name"):
        assert getattr(fresh, field, None) == getattr(original, field, None)


def test_a_copy_without_traceback_has_copies_of_causes_and_contexts():
    try:
        try:
            raise OSError(111, "Connection refused")
        except OSError:
            raise Refused("could not connect")  # noqa: B904 - the implicit context is what is tested
    except Refused as error:
        fresh = without_traceback(error)
        assert error.__context__.__traceback__ is not None
    assert (type(fresh.__context__), fresh.__context__.errno) == (ConnectionRefusedError, 111)
    assert fresh.__context__.__traceback__ is None
    caused = without_traceback(raised(Refused("no"), OSError(111, "x")))
    assert type(caused.__cause__) is ConnectionRefusedError
    assert caused.__suppress_context__


def test_a_ring_of_causes_ends():
    one, two = Refused(1), Refused(2)
    one.__cause__, two.__cause__ = two, one
    assert str(without_traceback(one).__cause__.__cause__) == "1"


def test_what_cannot_be_made_again_is_named():
    fresh = without_traceback(raised(Stubborn("no way", key=1)))
    assert type(fresh) is PoolError
    assert str(fresh) == "Stubborn: no way"


def test_nothing_of_the_caller_is_kept_alive(driver):
    class Big:
        pass

    connector = driver.connector(servers=NAMES, backoff=(10, 10))
    driver.refuse(A, B, C)

    def caller():
        big = Big()
        try:
            open_(connector, driver)
        except AllServersUnavailable:
            pass
        return weakref.ref(big)

    driver.events = []
    ref = caller()
    driver.events.clear()
    assert ref() is None, gc.get_referrers(ref())
