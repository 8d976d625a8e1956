"""One cap over several processes: the order of waiters, and the permits of processes that stop, fork or end."""

from __future__ import annotations

import os
import sys
import time

import pytest

import fastpool
from tests.shared._party import Party, wait_until


def waiting(party: Party, least: int = 1) -> None:
    """Wait until so many callers wait for a permit, over all processes."""
    wait_until(lambda: sum(stats.waiting for stats in fastpool.shared_stats("tested")) >= least)


def test_a_caller_waits_for_the_other_process_and_gets_its_permit(party: Party) -> None:
    first, second = party.worker(shared_max=1), party.worker(shared_max=1)
    first.do("take()")
    second.do("later('take()')")
    waiting(party)
    assert second.get("outcomes") == [] and party.server.open == 1
    first.do("give()")
    wait_until(lambda: second.get("len(held)") == 1)
    assert party.server.most == 1


def test_what_is_idle_elsewhere_is_given_up_for_a_waiter_and_no_more_than_that(party: Party) -> None:
    first, second = party.worker(shared_max=4, min_size=4), party.worker(shared_max=4)
    assert first.get("len(pool)") == 4
    took = second.get("take()")
    assert took < 5.0
    assert second.get("take()") < 5.0
    assert first.get("len(pool)") == 2, "one for each waiter, also below min_size"
    assert party.server.most == 4 and first.get("pool.stats().closed['overflow']") == 2


def test_the_longest_waiter_of_all_processes_is_first(party: Party) -> None:
    holder = party.worker(shared_max=1)
    holder.do("take()")
    others = [party.worker(shared_max=1) for _ in range(3)]
    order = [others[2], others[0], others[1], others[2]]
    for number, worker in enumerate(order):
        worker.do("later('(take(), time.monotonic(), give())')")
        waiting(party, number + 1)
    holder.do("give()")
    wait_until(lambda: sum(len(worker.get("outcomes")) for worker in others) == 4)
    when = {worker.pid: [row[1] for row in worker.get("outcomes")] for worker in others}
    # The second caller of others[2] came last, but may get its own process's connection, given back a moment ago.
    assert when[others[2].pid][0] < when[others[0].pid][0] < when[others[1].pid][0]
    assert party.server.most == 1


def test_a_process_does_not_keep_what_another_has_waited_for(party: Party) -> None:
    first, second = party.worker(shared_max=1), party.worker(shared_max=1)
    first.do(
        """
ends = threading.Event()
def work():
    while not ends.is_set():
        with pool.connection():
            time.sleep(0.005)
threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
[thread.start() for thread in threads]
"""
    )
    wait_until(lambda: party.server.open == 1)
    for _ in range(5):
        assert second.get("take()") < 5.0, "the four threads there would never leave it alone"
        second.do("give()")
    first.do("ends.set()")
    assert party.server.most == 1


def test_a_timeout_of_0_takes_what_is_free_now(party: Party) -> None:
    first, second = party.worker(shared_max=2), party.worker(shared_max=2)
    first.do("take(0)")
    second.do("take(0)")
    said = second.get("outcome('take(0)')")
    assert said.startswith("NoConnectionsAvailable") and "2 of 2 connections of all processes are held" in said
    assert f"pid {first.pid}: 1" in said and f"pid {second.pid} (this one): 1" in said


def test_an_error_names_ten_processes_and_counts_the_others(party: Party) -> None:
    many = [party.worker(shared_max=12, max_size=2) for _ in range(12)]
    for worker in many:
        worker.do("take(0)")
    said = many[0].get("outcome('take(0)')")
    assert said.count("pid ") == 10 and "and 2 more processes" in said


def test_the_permits_of_a_killed_process_are_back_within_a_second(party: Party) -> None:
    first, second = party.worker(shared_max=2), party.worker(shared_max=2)
    first.do("take(); take()")
    second.do("later('take()')")
    waiting(party)
    killed = time.monotonic()
    first.kill()
    wait_until(lambda: second.get("len(held)") == 1)
    assert time.monotonic() - killed < 5.0  # 1 s on a machine that is not overloaded: bench/shared.py measures it
    assert second.get("take(5)") < 5.0 and party.server.most == 2


def test_nobody_waits_for_what_was_killed_before(party: Party) -> None:
    first, second = party.worker(shared_max=1), party.worker(shared_max=1)
    first.do("take()")
    first.kill()
    time.sleep(1.0)
    assert second.get("take(0)") < 1.0, "its permit is back, although nobody waited for it"


def test_a_stopped_process_keeps_its_own_and_holds_up_nobody(party: Party) -> None:
    first, second, third = (party.worker(shared_max=2) for _ in range(3))
    first.do("take()")
    second.do("take()")
    third.do("later('take()')")
    waiting(party)
    third.stop()  # the first in line
    first.do("later('(take(), give())')")
    waiting(party, 2)
    second.do("give()")
    wait_until(lambda: first.get("len(outcomes)") == 1)
    assert party.server.most == 2
    third.go_on()
    wait_until(lambda: third.get("len(held)") == 1)
    first.stop()
    assert "2 of 2" in second.get("outcome('take(1)')"), "one is the third's, and one the stopped first's"
    first.go_on()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_owns_nothing_and_closes_its_copies_of_the_descriptors(party: Party) -> None:
    parent = party.worker(shared_max=3)
    parent.do("take(); take()")
    child = parent.get(
        """[os.fork()]
if answer[0] == 0:
    try:
        assert len(pool) == 0 and pool.share.member.holding == 0
        took = take()
        said = outcome('take(0)')
        assert '3 of 3' in said, said
        assert all(os.fstat(c.fileno()).st_rdev == os.stat(os.devnull).st_rdev for c in held[:2]), 'copies'
        open(os.environ['FASTPOOL_SHARED_DIR'] + '/../well', 'w').write('well')
        time.sleep(100)
    except BaseException as error:
        open(os.environ['FASTPOOL_SHARED_DIR'] + '/../well', 'w').write(repr(error))
        os._exit(1)
"""
    )[0]
    try:
        told = party.folder.parent / "well"
        assert wait_until(lambda: told.exists() and told.read_text()) == "well"
        assert party.server.open == 3
        parent.kill()
        wait_until(lambda: party.server.open == 1), "its descriptors are nowhere else"
    finally:
        os.kill(child, 9)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_never_uses_the_pool_does_not_keep_its_parents_permits(party: Party) -> None:
    parent, other = party.worker(shared_max=1), party.worker(shared_max=1)
    parent.do("take()")
    child = parent.get("[os.fork()]\nif answer[0] == 0: time.sleep(100)")[0]
    try:
        parent.kill()
        assert other.get("take()") < 15.0, "the locks are the parent's, and ended with it"
    finally:
        os.kill(child, 9)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no exec: another process is started, and this one ends")
def test_exec_ends_ownership(party: Party) -> None:
    first, second = party.worker(shared_max=1), party.worker(shared_max=1)
    first.do("take()")
    first.tell("os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(100)'])")
    assert second.get("take()") < 15.0
    assert first.process.poll() is None, "the process is there, and is another program"


def test_what_the_constructor_open_and_warm_open_is_what_is_free(party: Party) -> None:
    first = party.worker(shared_max=5, min_size=3)
    second = party.worker(shared_max=5, min_size=4)
    assert (first.get("len(pool)"), second.get("len(pool)")) == (3, 2)
    assert second.get("pool.warm()") == 2 and first.get("pool.warm(timeout=0.2)") == 3
    assert second.get("(pool.open(), len(pool))[1]") == 2
    assert party.server.most == 5


def test_a_deadlock_is_one_only_if_this_process_holds_all_permits(party: Party) -> None:
    first, second = party.worker(shared_max=2), party.worker(shared_max=2)
    second.do("take()")
    alone = "def alone():\n    with pool.connection() as c, pool.connection(timeout=0.5) as d: return 'both'"
    first.do(alone)
    assert first.get("outcome('alone()')").startswith("NoConnectionsAvailable"), "the other process may return its own"
    second.do("give(); pool.close()")
    first.do("later('(take(5), give())')")
    wait_until(lambda: first.get("len(outcomes)") == 1)
    first.do(alone.replace("as d", "as d, pool.connection(timeout=10) as e"))
    assert first.get("outcome('alone()')").startswith("PoolDeadlock")


def test_the_first_sets_the_cap_until_the_last_is_closed(party: Party) -> None:
    first, second = party.worker(shared_max=2), party.worker()
    said = second.get("outcome('make(shared_max=3)')")
    assert said.startswith("ValueError") and "2" in said and "3" in said
    second.do("pool = make()")
    second.do("take(0); take(0)")
    assert "2 of 2" in second.get("outcome('take(0)')"), "None joins what is set"
    second.do("give(); give(); pool.close()")
    first.do("pool.close()")
    if sys.platform == "win32":  # it is mapped as long as the pool is there
        first.do("pool = None; gc.collect()")
        second.do("pool = None; gc.collect()")
    assert party.left() == [], "the page vanishes with the last user"
    second.do("pool = make(shared_max=3)")
    second.do("take(0); take(0); take(0)")


def test_without_any_cap_there_are_figures_only(party: Party) -> None:
    first, second = party.worker(max_size=4), party.worker(max_size=4)
    first.do("[take(0) for _ in range(4)]")
    second.do("[take(0) for _ in range(4)]")
    assert sorted(stats.leased for stats in wait_for_figures(8)) == [4, 4]


def wait_for_figures(leased: int) -> list[fastpool.ProcessStats]:
    def there() -> list[fastpool.ProcessStats]:
        found = fastpool.shared_stats("tested")
        return found if sum(stats.leased for stats in found) == leased else []

    found: list[fastpool.ProcessStats] = wait_until(there)
    return found


def test_resize_changes_the_cap_for_all(party: Party) -> None:
    first, second = party.worker(shared_max=1), party.worker(shared_max=1)
    first.do("take()")
    second.do("later('take()')")
    waiting(party)
    first.do("pool.resize(shared_max=2)")
    wait_until(lambda: second.get("len(held)") == 1)
    assert first.get("pool.config.shared_max") == 2
    first.do("pool.resize(shared_max=1)")
    second.do("give()")
    wait_until(lambda: party.server.open == 1)
    assert "1 of 1" in second.get("outcome('take(0)')")
    first.do("pool.resize(shared_max=None)")
    second.do("take(0); take(0)")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"shared_max": 3}, "shared_max"),
        ({"shared": "a", "shared_max": 2, "min_size": 3}, "min_size"),
        ({"shared": "a", "shared_max": 0}, "shared_max"),
        ({"shared": ""}, "shared"),
        ({"shared": "\ud800"}, "shared"),
        ({"shared": "a" * 2000}, "shared"),
    ],
)
def test_what_cannot_be_is_a_value_error(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        fastpool.Pool(object, **options)  # type: ignore[call-overload]


def test_what_is_of_another_type_is_a_type_error() -> None:
    for options in (
        {"shared": 3},
        {"shared": b"a"},
        {"shared": "a", "shared_max": True},
        {"shared": "a", "shared_max": "4"},
    ):
        with pytest.raises(TypeError, match="shared"):
            fastpool.Pool(object, **options)  # type: ignore[call-overload]
