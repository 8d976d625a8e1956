"""Waiting for news, and a flag that works as threading's Event without its lock."""

import threading
import time

from fastpool.testing.news import Flag, News


def started(work):
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_all_waiters_look_again_when_something_is_told():
    news, values, seen = News(), [], []
    threads = [started(lambda: seen.append(news.wait_for(lambda: len(values) > 1, 10))) for _ in range(3)]
    for value in range(2):
        values.append(value)
        news.tell()
        news.tell()
    for thread in threads:
        thread.join(10)
    assert seen == [True] * 3
    assert not news._sleepers


def test_a_wait_in_vain_ends_with_an_error():
    began = time.monotonic()
    assert not News().wait_for(lambda: False, 0.05)
    assert time.monotonic() - began >= 0.05
    assert News().wait_for(lambda: True, 0)
    assert not News().wait_for(lambda: False, 0)


def test_what_the_condition_raises_leaves_nobody_in_line():
    news = News()
    try:
        news.wait_for(lambda: 1 / 0)
    except ZeroDivisionError:
        pass
    assert not news._sleepers


def test_a_flag_wakes_all_waiters():
    flag, seen = Flag(), []
    assert not flag.is_set() and not flag.wait(0)
    thread = started(lambda: seen.append(flag.wait()))
    flag.set()
    thread.join(10)
    assert seen == [True] and flag.is_set() and flag.wait(0)
    flag.clear()
    assert not flag.is_set()
