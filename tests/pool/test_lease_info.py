"""The owner of a lease in words, and its present stack: threads, greenlets, tasks."""

import asyncio
import copy
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastpool._telemetry.holder import lease_info, thread_name

FACTS = {"slot": 3, "server": ("a", 1), "depth": 1, "age_s": 0.5}


def here(**fields):
    return lease_info(**(FACTS | {"ident": threading.get_ident()} | fields))


def functions(info):
    """The names of the functions on the holder's stack, outermost first."""
    return [entry.split(", in ")[1].split("\n")[0] for entry in info.stack()]


@pytest.fixture
def parked_thread():
    """A thread that sits in `parked_deep_inside` until the test ends."""
    ready, leave = threading.Event(), threading.Event()

    def parked_deep_inside():
        ready.set()
        leave.wait(30)

    def parked():
        parked_deep_inside()

    thread = threading.Thread(target=parked, name="worker-1")
    thread.start()
    assert ready.wait(10)
    yield thread
    leave.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_thread_in_words_and_its_stack(parked_thread):
    info = lease_info(**FACTS, ident=parked_thread.ident)
    assert (info.slot, info.server, info.depth, info.age_s) == (3, ("a", 1), 1, 0.5)
    assert (info.thread, info.owner) == ("worker-1", "thread 'worker-1'")
    names = functions(info)
    assert names.index("parked") < names.index("parked_deep_inside") < names.index("wait")
    assert all(entry.endswith("\n") for entry in info.stack())


def test_the_stack_is_the_one_of_now():
    info = here()

    def later():
        return functions(info)

    assert "later" not in functions(info)
    assert "later" in later()


def test_the_call_of_leases_is_left_out_of_the_callers_own_stack():
    assert functions(here())[-1] == "functions"


def test_a_thread_that_has_ended():
    info = lease_info(**FACTS, ident=None)
    assert info.thread == "a thread that has ended"
    assert info.stack() == []


def test_a_thread_that_threading_does_not_know():
    assert thread_name(1) == "thread 1"


def test_the_name_of_a_thread_is_found_without_a_look_through_all_of_them(parked_thread, monkeypatch):
    def looked():
        raise AssertionError("looked through all threads")

    monkeypatch.setattr(threading, "enumerate", looked)
    assert thread_name(parked_thread.ident) == "worker-1"


def test_the_name_of_a_thread_is_found_where_threading_has_no_such_table(parked_thread, monkeypatch):
    all_of_them = threading.enumerate()
    monkeypatch.delattr(threading, "_active")
    monkeypatch.setattr(threading, "enumerate", lambda: all_of_them)
    assert thread_name(parked_thread.ident) == "worker-1"
    assert thread_name(1) == "thread 1"


def test_a_task_in_words_and_where_it_awaits():
    async def main():
        never = asyncio.get_running_loop().create_future()

        async def inner():
            await never

        async def outer():
            await inner()

        task = asyncio.create_task(outer(), name="job-7")
        await asyncio.sleep(0)
        info = here(task=task)
        assert info.owner == f"task 'job-7' in thread {threading.current_thread().name!r}"
        assert functions(info) == ["outer", "inner"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert info.stack() == []

    asyncio.run(main())


def test_a_task_that_awaits_in_an_async_generator():
    async def main():
        never = asyncio.get_running_loop().create_future()

        async def rows():
            await never
            yield 1

        async def reader():
            async for _ in rows():
                pass

        task = asyncio.create_task(reader())
        await asyncio.sleep(0)
        assert functions(here(task=task))[0] == "reader"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_task_that_asks_about_itself():
    async def main():
        names = functions(here(task=asyncio.current_task()))
        assert names[-2:] == ["main", "functions"]

    asyncio.run(main())


def test_a_task_is_not_kept_alive():
    async def main():
        task = asyncio.create_task(asyncio.sleep(0))
        await task
        info, ref = here(task=task), weakref.ref(task)
        del task
        await asyncio.sleep(0)  # the loop drops its reference to the task that it has just woken
        gc.collect()
        assert ref() is None
        assert info.stack() == []
        assert lease_info(**FACTS, ident=1, task=ref).owner == "task that is gone in thread 'thread 1'"

    asyncio.run(main())


def test_a_suspended_greenlet_and_its_stack():
    greenlet = pytest.importorskip("greenlet")

    def suspended():
        greenlet.getcurrent().parent.switch()

    one = greenlet.greenlet(suspended)
    info = here(greenlet=one)
    assert info.stack() == []
    one.switch()
    assert functions(info)[-1] == "suspended"
    assert info.owner.startswith("greenlet at 0x")
    one.switch()
    assert one.dead
    assert info.stack() == []


def test_the_greenlet_that_runs_is_on_its_threads_stack():
    greenlet = pytest.importorskip("greenlet")
    found = []

    def running():
        found.extend(functions(here(greenlet=greenlet.getcurrent())))

    greenlet.greenlet(running).switch()
    assert found[-2:] == ["running", "functions"]


def test_a_greenlet_is_not_kept_alive():
    greenlet = pytest.importorskip("greenlet")
    one = greenlet.greenlet(int)
    info, ref = here(greenlet=one), weakref.ref(one)
    del one
    gc.collect()
    assert ref() is None
    assert info.stack() == []


def test_gevents_own_names_are_used():
    gevent = pytest.importorskip("gevent")

    def said():
        """In a thread whose hub ends with it: there a wait switches to other greenlets, and does not block the
        thread."""
        one = gevent.spawn(int)
        one.join()
        gevent.get_hub().destroy(destroy_loop=True)
        return one.name, here(greenlet=one).owner

    with ThreadPoolExecutor(1) as threads:
        name, owner = threads.submit(said).result()
    assert owner.startswith(f"greenlet {name} in thread ")


def test_it_is_pickled_without_its_holder(parked_thread):
    info = lease_info(**FACTS, ident=parked_thread.ident)
    there = copy.deepcopy(info)
    assert there == info
    assert there.stack() == []
    assert repr(there) == repr(info)
