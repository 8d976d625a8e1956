"""The cell that the bookkeeping is kept in: replaced as a whole, by who saw the current value."""

import gc
import threading

import pytest

from fastpool._core import Cell


def test_it_is_replaced_by_who_saw_the_current_value():
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
