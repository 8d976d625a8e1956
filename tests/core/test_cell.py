"""Lock-free bookkeeping: a cell that is replaced by compare-and-swap, and a register of live objects."""

import gc
import threading
import time

import pytest

from fastpool._core import Cell, Register, Section
from tests.pool.fake_driver import frees_what_is_dropped


def test_it_is_replaced_only_by_a_swap_from_the_current_value():
    first, second = object(), object()
    cell = Cell(first)
    assert cell.value is first
    assert cell.replace(first, second) is True
    assert cell.value is second
    assert cell.replace(first, object()) is False
    assert cell.value is second


def test_equal_is_not_the_same():
    cell = Cell([])
    assert not cell.replace([], [1])
    assert cell.value == []


def test_a_finalizer_of_the_old_value_finds_the_new_one_and_may_replace_it():
    seen = []

    class Value:
        def __init__(self, name):
            self.name = name

        def __del__(self):
            seen.append((self.name, getattr(cell.value, "name", None)))
            if self.name == "first":
                assert cell.replace(cell.value, Value("third"))

    cell = Cell(Value("first"))
    assert cell.replace(cell.value, Value("second"))
    assert seen == [("first", "second"), ("second", "third")]


def test_no_increment_of_many_threads_is_lost():
    cell, threads, rounds = Cell(0), 8, 3000

    def count():
        for _ in range(rounds):
            while True:
                old = cell.value
                if cell.replace(old, old + 100_000):  # too large to be shared: each is an object of its own
                    break

    workers = [threading.Thread(target=count) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert cell.value == threads * rounds * 100_000


def test_what_it_holds_can_be_collected():
    gone = []

    class Value:
        def __del__(self):
            gone.append(True)

    value = Value()
    value.cell = Cell(value)
    del value
    gc.collect()
    assert gone == [True]


def test_it_has_a_value_from_the_beginning():
    with pytest.raises(TypeError):
        Cell()


class Named:
    pass


def test_a_register_has_the_live_members_in_order_of_arrival():
    register, ones = Register(), [Named() for _ in range(5)]
    for one in ones:
        register.add("a", one)
    other = Named()
    register.add("b", other)
    assert register.named("a") == ones
    assert register.named("nobody") == []
    assert register.everyone() == [*ones, other]


@frees_what_is_dropped
def test_a_member_that_ends_leaves_the_register_and_the_last_removes_the_name():
    register, ones = Register(), [Named() for _ in range(3)]
    for one in ones:
        register.add("a", one)
    del ones[1], one
    assert register.named("a") == ones
    ones.clear()
    gc.collect()
    assert register.everyone() == []
    assert len(register) == 0


def test_a_dropped_member_leaves_the_register_before_it_ends():
    register, ones = Register(), [Named() for _ in range(4)]
    for one in ones:
        register.add("a", one)
    register.drop("a", ones[1:3])
    assert register.named("a") == [ones[0], ones[3]]
    register.drop("a", ones)
    register.drop("nobody", ones)
    assert register.everyone() == [] and len(register) == 0


def test_equality_and_hash_of_what_is_registered_do_not_matter():
    class Odd:
        __hash__ = None

        def __eq__(self, other):
            raise AssertionError("nobody compares")

    register, one, other = Register(), Odd(), Odd()
    register.add("a", one)
    register.add("a", other)
    assert [id(found) for found in register.named("a")] == [id(one), id(other)]


@frees_what_is_dropped
def test_many_threads_enter_and_leave_a_register():
    register, stay, threads = Register(), [], 6

    def come_and_go():
        for n in range(500):
            one = Named()
            register.add(f"name {n % 3}", one)
            if n % 50 == 0:
                stay.append(one)
            register.named("name 0")

    workers = [threading.Thread(target=come_and_go) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    gc.collect()
    assert {id(one) for one in register.everyone()} == {id(one) for one in stay}
    stay.clear()
    gc.collect()
    assert len(register) == 0


def test_a_section_runs_one_at_a_time():
    section, counts, threads, rounds = Section(), {"n": 0}, 8, 500

    def add():
        n = counts["n"]
        time.sleep(0)
        counts["n"] = n + 1

    def work():
        for _ in range(rounds):
            section.run(add)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert counts["n"] == threads * rounds


def test_a_section_within_itself_and_one_that_raises():
    section, done = Section(), []
    assert section.run(section.run, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        section.run(section.run, divmod, 7, 0)
    other = threading.Thread(target=lambda: section.run(done.append, 1), daemon=True)
    other.start()
    other.join(10)
    assert done == [1], "an error left it taken"
