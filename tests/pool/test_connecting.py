"""Opening a connection: which server is asked, which is left alone, and which error the caller gets."""

import asyncio
import random
import threading
from collections import Counter

import pytest

from fastpool import AllServersUnavailable
from tests.pool.connecting_driver import NAMES, A, B, C, Refused, TimedDriver, open_


@pytest.fixture
def driver():
    return TimedDriver()


# ---- without servers


def test_without_servers_the_driver_is_asked_with_none(driver):
    assert open_(driver.connector(), driver, 2.5) == ("connection to None", None)
    assert driver.asked == [(None, 2.5)]
    assert [name for name, _ in driver.events] == ["connect_started"]


def test_without_servers_the_drivers_own_error_is_raised_and_there_is_no_back_off(driver):
    connector = driver.connector()
    driver.refuse(None)
    for _ in range(3):
        with pytest.raises(Refused, match="None says no"):
            open_(connector, driver)
    assert len(driver.asked) == 3
    assert connector.states() == {}
    assert [name for name, _ in driver.events] == ["connect_started", "connect_failed"] * 3


def test_the_last_error_is_remembered_without_its_traceback(driver):
    connector = driver.connector()
    assert connector.last_error is None
    driver.refuse(None)
    with pytest.raises(Refused) as caught:
        open_(connector, driver)
    assert caught.value.__traceback__ is not None
    assert type(connector.last_error) is Refused
    assert str(connector.last_error) == str(caught.value)
    assert connector.last_error.__traceback__ is None


# ---- choosing


def test_round_robin_begins_with_the_first_and_goes_round(driver):
    connector = driver.connector(servers=NAMES)
    assert [open_(connector, driver)[1] for _ in range(7)] == [A, B, C, A, B, C, A]


def test_round_robin_is_fair_between_threads(driver):
    connector = driver.connector(servers=NAMES)
    start = threading.Barrier(6)

    def connect_many():
        start.wait(10)
        for _ in range(50):
            open_(connector, driver)

    threads = [threading.Thread(target=connect_many) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert Counter(driver.servers_asked()) == {A: 100, B: 100, C: 100}


def test_the_share_of_a_server_that_is_down_is_spread_over_the_others(driver):
    connector = driver.connector(servers=NAMES, backoff=(1000, 1000))
    driver.refuse(A)
    got = Counter(open_(connector, driver)[1] for _ in range(100))
    assert got == {B: 50, C: 50}


def test_random_is_random_and_reproducible_with_a_seed(driver):
    def draw(seed):
        connector = driver.connector(seed, servers=NAMES, balance="random")
        return [open_(connector, driver)[1] for _ in range(60)]

    assert draw(1) == draw(1) != draw(2)
    assert min(Counter(draw(3)).values()) >= 10


def test_least_leased(driver):
    connector = driver.connector(servers=NAMES, balance="least_leased")
    driver.leased = {A: 3, B: 1, C: 2}
    assert open_(connector, driver)[1] == B
    driver.leased = {A: 1, B: 1}
    assert open_(connector, driver)[1] == C


def test_least_leased_takes_turns_between_equals(driver):
    connector = driver.connector(servers=NAMES, balance="least_leased")
    assert [open_(connector, driver)[1] for _ in range(6)] == [A, B, C, A, B, C]


def test_a_custom_balance_gets_the_available_servers_and_the_leases_of_each(driver):
    seen = []

    def last(servers, leased_by_server):
        seen.append((servers, leased_by_server))
        return "{}:{}".format(*servers[-1])

    connector = driver.connector(servers=[*NAMES, "a:1"], balance=last)
    driver.leased = {A: 2}
    driver.refuse(C)
    assert open_(connector, driver)[1] == B
    assert seen == [((A, B, C), {A: 2}), ((A, B), {A: 2})]


def test_a_balance_that_makes_something_up_is_told_so(driver):
    connector = driver.connector(servers=NAMES, balance=lambda servers, leased: "z:9")
    with pytest.raises(ValueError, match=r"balance chose \('z', 9\), which is none of the servers"):
        open_(connector, driver)
    assert driver.asked == []


def test_a_server_given_twice_gets_twice_the_share(driver):
    connector = driver.connector(servers=["a:1", "a:1", "b:2"])
    assert Counter(open_(connector, driver)[1] for _ in range(30)) == {A: 20, B: 10}


# ---- refusals


def test_when_one_refuses_another_is_asked_and_the_first_left_alone(driver):
    connector = driver.connector(servers=NAMES, backoff=(10, 10))
    driver.refuse(A)
    assert open_(connector, driver)[1] == B
    assert [open_(connector, driver)[1] for _ in range(4)] == [C, B, C, B]
    assert driver.servers_asked().count(A) == 1
    state = connector.states()[A]
    assert (state.refusals, str(state.error)) == (1, f"{A} says no")
    assert 0 < state.retry_in <= 10


def test_the_events_of_a_server_that_goes_down_and_comes_back(driver):
    connector = driver.connector(servers=NAMES[:2], backoff=(10, 10))
    driver.refuse(A)
    driver.takes[A] = 0.25
    open_(connector, driver)
    assert [name for name, _ in driver.events] == [
        "connect_started",
        "server_down",
        "connect_failed",
        "connect_started",
    ]
    [failed] = driver.told("connect_failed")
    assert (failed["server"], failed["duration"], type(failed["error"])) == (A, 0.25, Refused)
    [down] = driver.told("server_down")
    assert (down["server"], type(down["error"])) == (A, Refused)
    assert down["duration"] == pytest.approx(connector.states()[A].retry_in)
    driver.heal(A)
    driver.now += 10
    open_(connector, driver)
    [up] = driver.told("server_up")
    assert up == {"server": A, "duration": 10.25}
    assert connector.states() == {}
    open_(connector, driver)
    assert len(driver.told("server_up")) == 1


def test_when_all_refuse_each_is_asked_once_and_the_last_error_is_the_cause(driver):
    connector = driver.connector(servers=NAMES)
    driver.refuse(A, B, C)
    with pytest.raises(AllServersUnavailable) as caught:
        open_(connector, driver)
    assert sorted(driver.servers_asked()) == [A, B, C]
    assert type(caught.value.__cause__) is Refused
    assert str(caught.value.__cause__) == f"{driver.servers_asked()[-1]} says no"
    assert str(caught.value).splitlines() == [
        "none of 3 servers gave a connection",
        "  a:1 failed: Refused: ('a', 1) says no",
        "  b:2 failed: Refused: ('b', 2) says no",
        "  c:3 failed: Refused: ('c', 3) says no",
    ]


def test_while_all_are_in_back_off_callers_fail_at_once_without_asking(driver):
    connector = driver.connector(servers=NAMES, backoff=(10, 10))
    driver.refuse(A, B, C)
    errors = []
    for _ in range(3):
        with pytest.raises(AllServersUnavailable) as caught:
            open_(connector, driver)
        errors.append(caught.value)
    assert len(driver.asked) == 3
    assert [type(error.__cause__) for error in errors] == [Refused] * 3
    assert errors[1].__cause__ is not errors[2].__cause__
    assert "b:2 is left alone for another" in str(errors[2])
    assert "Refused: ('b', 2) says no" in str(errors[2])


def test_a_single_server_raises_its_own_error_also_in_back_off(driver):
    connector = driver.connector(servers=["a:1"], backoff=(10, 10))
    driver.refuse(A)
    caught = []
    for _ in range(4):
        with pytest.raises(Refused) as info:
            open_(connector, driver)
        caught.append(info.value)
    assert len(driver.asked) == 1
    assert len({id(error) for error in caught}) == 4
    assert {str(error) for error in caught} == {f"{A} says no"}
    assert caught[0].__cause__ is None
    for error in caught[1:]:
        assert type(error.__cause__) is Refused
        assert error.__cause__.__traceback__ is None
        assert error.__cause__.__cause__ is None


def test_the_same_server_twice_is_a_single_server(driver):
    connector = driver.connector(servers=["a:1", "a:1"])
    driver.refuse(A)
    with pytest.raises(Refused):
        open_(connector, driver)
    assert len(driver.asked) == 1


def test_the_pauses_double_up_to_the_longest_with_full_jitter(driver):
    connector = driver.connector(servers=["a:1"], backoff=(1, 8))
    driver.refuse(A)
    rests = []
    for _ in range(6):
        with pytest.raises(Refused):
            open_(connector, driver)
        rests.append(connector.states()[A].retry_in)
        driver.now += rests[-1]
    assert len(driver.asked) == 6
    same = random.Random(1)
    assert rests == pytest.approx([same.uniform(0, limit) for limit in (1, 2, 4, 8, 8, 8)])


def test_a_thousand_refusals_do_not_overflow(driver):
    connector = driver.connector(servers=["a:1"], backoff=(0.1, 5))
    driver.refuse(A)
    for _ in range(1200):
        with pytest.raises(Refused):
            open_(connector, driver)
        driver.now += 5
    assert connector.states()[A].refusals == 1200


def test_a_server_that_heals_is_back_within_its_back_off_and_starts_from_the_first_pause(driver):
    connector = driver.connector(servers=NAMES[:2], backoff=(1, 5))
    driver.refuse(A)
    for _ in range(12):
        open_(connector, driver)
        driver.now += 5
    driver.heal(A)
    assert {open_(connector, driver)[1] for _ in range(2)} == {A, B}
    driver.refuse(A)
    open_(connector, driver)
    open_(connector, driver)
    assert connector.states()[A].refusals == 1
    assert connector.states()[A].retry_in <= 1


def test_no_pause_at_all_if_so_asked(driver):
    connector = driver.connector(servers=["a:1"], backoff=(0, 0))
    driver.refuse(A)
    for _ in range(3):
        with pytest.raises(Refused):
            open_(connector, driver)
    assert len(driver.asked) == 3


def test_connects_that_fail_together_count_as_one_refusal(driver):
    connector = driver.connector(servers=["a:1"], backoff=(10, 80))
    both_in, errors = threading.Barrier(2), []

    def connect(server, timeout):
        both_in.wait(10)
        raise Refused

    def attempt():
        try:
            open_(connector, driver)
        except Refused as error:
            errors.append(error)

    driver.connect = connect
    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(errors) == 2
    assert connector.states()[A].refusals == 1
    assert len(driver.told("server_down")) == 1


def test_one_connect_that_hangs_holds_up_no_other(driver):
    connector = driver.connector(servers=NAMES[:2])
    inside, leave, done = threading.Event(), threading.Event(), threading.Event()
    connect = driver.connect

    def hang(server, timeout):
        if server == A:
            inside.set()
            assert leave.wait(10)
        return connect(server, timeout)

    driver.connect = hang
    hanging = threading.Thread(target=lambda: (open_(connector, driver), done.set()))
    hanging.start()
    assert inside.wait(10)
    assert open_(connector, driver)[1] == B
    assert connector.states() == {}
    leave.set()
    hanging.join(10)
    assert done.is_set()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_an_interrupt_passes_untouched_and_blames_nobody(driver, interrupt):
    connector = driver.connector(servers=NAMES)
    driver.refuse(A, error=interrupt)
    with pytest.raises(interrupt):
        open_(connector, driver)
    assert driver.servers_asked() == [A]
    assert connector.states() == {}
    assert connector.last_error is None
