"""A page on a file system that is read-only, and processes in pid namespaces of their own, in which pids repeat."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastpool
from fastpool._shared import folder
from tests.shared._party import PATIENCE, SOURCE, Party, wait_until

ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && '
TRIES = """
import os, fastpool
for what in (lambda: fastpool.Pool(object, close=id, shared="tested"), lambda: fastpool.shared_stats("tested")):
    try: print(type(what()))
    except fastpool.PoolError as error: print(error)
"""


def permitted(*command: str) -> None:
    """Skip unless this works here."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        pytest.skip(f"not permitted here: {done.stderr.strip()}")


def tried(read_only: Path, pages: Path) -> list[str]:
    """The outcomes of a pool and of shared_stats in a process that sees this folder read-only."""
    permitted("unshare", "--mount", "sh", "-c", READ_ONLY + "true", str(read_only))
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", READ_ONLY + 'exec "$@"', str(read_only), sys.executable, "-c", TRIES],
        capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONPATH": SOURCE, "FASTPOOL_SHARED_DIR": str(pages)},
    )  # fmt: skip
    return done.stdout.splitlines()


def test_a_read_only_folder_is_refused(party: Party) -> None:
    made, stats = tried(party.folder, party.folder)
    assert "the file system is read-only" in made and str(party.folder) in made
    assert stats == "<class 'list'>", "nobody is there"


def test_a_folder_that_cannot_be_made_is_refused(party: Party) -> None:
    made, stats = tried(party.folder, party.folder / "pages")
    assert "the file system is read-only" in made and "pages" in made
    assert stats == "<class 'list'>"


def test_a_read_only_page_is_refused_and_its_users_go_on(party: Party) -> None:
    worker = party.worker(shared_max=3)
    worker.do("take()")
    for said in tried(party.folder, party.folder):
        assert "the file system is read-only" in said and folder.file_name("tested") in said
    worker.do("give()")
    worker.do("take()")
    wait_until(lambda: [one.leased for one in fastpool.shared_stats("tested")] == [1])


def test_processes_of_several_pid_namespaces_share_one_cap(party: Party) -> None:
    """Each has pid 1, which says nothing about which of them lives."""
    permitted(*ALONE, "true")
    first, second = (party.worker(within=ALONE, shared_max=2) for _ in range(2))
    assert [one.get("os.getpid()") for one in (first, second)] == [1, 1]
    for one in (first, second):
        one.do("take()")
    wait_until(lambda: [(one.pid, one.leased) for one in fastpool.shared_stats("tested")] == [(1, 1), (1, 1)])
    with fastpool.Pool(party.connection, shared="tested", shared_max=2) as pool:
        with pytest.raises(fastpool.NoConnectionsAvailable, match="pid 1: 1, pid 1: 1"):
            pool.checkout(timeout=0)
        said = first.get("outcome('take(0)')")
        assert "pid 1 (this one): 1" in said and "pid 1: 1" in said, said
        first.kill()
        c = pool.checkout(timeout=PATIENCE)  # the permit of the one that was killed, and not the other's
        second.do("give()")
        second.do("take()")
        pool.checkin(c)
    wait_until(lambda: [one.pid for one in fastpool.shared_stats("tested")] == [1])
    assert party.server.most <= 2
