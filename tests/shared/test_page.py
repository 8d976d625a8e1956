"""The page's file: what is refused, what is there after all went wrong, and what others read in it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import fastpool
from fastpool._shared import joining
from tests.shared._page import make_page, pool, said_by
from tests.shared._party import Party, wait_until


def changed(page: Path, at: int, data: bytes) -> None:
    with page.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_names_are_never_mixed_up(party: Party) -> None:
    names = ["a", "A", "a/../b", "ä", "a\u0308", " a", "a\0", "../../a", "a@h:1", "x" * 1024, ".", "a.page"]
    pools = [pool(shared=name, shared_max=number + 1) for number, name in enumerate(names)]
    assert [one.share.member.cap for one in pools if one.share] == list(range(1, len(names) + 1))
    assert len(list(party.folder.iterdir())) == len(names)
    for one in pools:
        one.close()


@pytest.mark.parametrize("at", [0, 5, 16, 24, 40])
def test_a_page_that_is_torn_is_refused_and_left_as_it_is(party: Party, at: int) -> None:
    page = make_page(party)
    changed(page, at, b"\xff\xff")
    before = page.read_bytes()
    for use in (pool, lambda: fastpool.shared_stats("tested")):
        with pytest.raises(fastpool.PoolError, match="nothing was changed"):
            use()
    assert page.read_bytes() == before


def test_a_page_of_another_version_is_refused(party: Party) -> None:
    page = make_page(party)
    changed(page, 12, (joining.VERSION + 1).to_bytes(4, "little"))
    with pytest.raises(fastpool.PoolError, match=f"version {joining.VERSION + 1}"):
        pool()


@pytest.mark.parametrize("size", [0, 1, 100, 2048, 4096, 5000])
def test_a_page_that_was_cut_off_is_refused(party: Party, size: int) -> None:
    page = make_page(party)
    os.truncate(page, size)
    with pytest.raises(fastpool.PoolError, match=r"cut off|no page|damaged"):
        pool()
    assert page.stat().st_size == size


def test_what_dead_processes_left_behind_does_not_count(party: Party) -> None:
    page = make_page(party)
    changed(page, 2048, b"\xff" * 80)  # and whatever they left there
    changed(page, 4096, b"\xff" * 896)
    with pool(shared_max=7) as one:
        assert one.warm() == 7
        assert [stats.size for stats in fastpool.shared_stats("tested")] == [7]


def test_a_process_that_ends_without_close_removes_the_page(party: Party) -> None:
    program = (
        "import fastpool\n"
        "pools = [fastpool.Pool(object, close=id, shared='tested', shared_max=9, min_size=2) for _ in range(2)]\n"
        "print(len(fastpool.shared_stats('tested')))\n"
    )
    said = said_by(program)
    assert said.stdout == "2\n" and said.stderr == ""
    assert party.left() == []


def test_a_pid_that_is_used_again_is_not_mistaken(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = party.worker(shared_max=1)
    worker.do("take()")
    with pool(shared_max=1, timeout=20.0) as other:
        with monkeypatch.context() as patched:
            patched.setattr(joining.os, "getpid", lambda: worker.pid)
            again = pool(shared_max=1)
        with again:
            assert again.share is not None and again.share.member.holding == 0
            with pytest.raises(fastpool.NoConnectionsAvailable):
                again.checkout(timeout=0)
            worker.kill()  # its pid is somebody's, by all that the page says
            other.checkin(other.checkout())


def test_a_pool_that_opened_nothing_yet_waits_as_any_other(party: Party) -> None:
    worker = party.worker(shared_max=1)
    worker.do("take()")
    with pool(shared_max=1, open=False, timeout=20.0) as late:
        worker.do("later('(time.sleep(0.2), give())')")
        late.checkin(late.checkout())


def test_a_process_that_dies_while_it_joins_holds_up_nobody(party: Party) -> None:
    worker = party.worker()
    worker.do(
        "import fastpool._shared.joining as j\n"
        "j._sit = lambda *_: (open(j._folder.path() + '/../here', 'w'), time.sleep(100))"
    )
    worker.tell("make()")
    wait_until((party.folder.parent / "here").exists)
    with pytest.raises(fastpool.PoolError, match="stopped"):
        joining.join("tested", None, at_most_s=0.1)
    worker.kill()
    pool(shared_max=2).close()


def test_shared_stats_of_nobody(party: Party) -> None:
    assert fastpool.shared_stats("nobody") == []
    party.folder.rmdir()
    assert fastpool.shared_stats("nobody") == [] and not party.folder.exists()
    with pytest.raises(TypeError, match="name"):
        fastpool.shared_stats(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shared"):
        fastpool.shared_stats("")


def test_shared_stats_says_who_has_what(party: Party) -> None:
    began = time.time()
    options = {
        "servers": [("127.0.0.1", party.server.port), ("localhost", party.server.port)],
        "balance": "least_leased",
    }
    first, second = party.worker(shared_max=9, **options), party.worker(shared_max=9, **options)
    first.do("take(); take(); take(); give()")
    found = wait_until(lambda: [s for s in fastpool.shared_stats("tested") if s.leased == 2])[0]
    assert (found.pid, found.program, found.size, found.idle, found.connecting) == (first.pid, "_worker.py", 3, 1, 0)
    assert began - 1 < found.since < time.time() and sum(found.servers.values()) == 2
    assert set(found.servers) <= {f"127.0.0.1:{party.server.port}", f"localhost:{party.server.port}"}
    first.kill()
    assert [s.pid for s in fastpool.shared_stats("tested")] == [second.pid], "the dead are not told of"


def test_least_leased_counts_over_all_processes(party: Party) -> None:
    servers = [("127.0.0.1", party.server.port), ("localhost", party.server.port)]
    first, second = (party.worker(shared_max=40, servers=servers, balance="least_leased") for _ in range(2))
    first.do("[take() for _ in range(4)]")
    theirs = wait_until(lambda: [s for s in fastpool.shared_stats("tested") if s.leased == 4])[0].servers
    assert sorted(theirs.values()) == [2, 2]
    lopsided = party.worker(shared_max=40, servers=servers[:1], balance="least_leased")
    lopsided.do("[take() for _ in range(3)]")
    wait_until(lambda: [s for s in fastpool.shared_stats("tested") if s.leased == 3])
    second.do("[take() for _ in range(3)]")
    mine = wait_until(lambda: [s for s in fastpool.shared_stats("tested") if s.pid == second.pid and s.leased == 3])
    assert mine[0].servers == {f"localhost:{party.server.port}": 3}, "the other has three more already"
