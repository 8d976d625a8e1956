"""The page's file and its folder on Linux and macOS: modes, owners, links, and what has no room."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

import fastpool
from fastpool._shared import folder, joining
from tests.shared._page import make_page, page_of, pool, said_by
from tests.shared._party import Party

resource = pytest.importorskip("resource")
folder_posix = pytest.importorskip("fastpool._shared.folder_posix")


def test_only_the_user_can_read_and_write_it(party: Party) -> None:
    party.folder.rmdir()
    with pool() as first:
        assert stat.S_IMODE(party.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(page_of(party).stat().st_mode) == 0o600
        assert len(first) == 0
    assert list(party.folder.iterdir()) == []


def test_sixty_four_pools_fit_in_64_kilobytes(party: Party) -> None:
    pools = [pool(shared_max=100) for _ in range(64)]
    assert page_of(party).stat().st_size <= 65536
    assert len(fastpool.shared_stats("tested")) == 64
    for one in pools:
        one.close()


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(tmp_path / "given"))
    assert folder.path() == str(tmp_path / "given")
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", "")
    memory = Path("/dev/shm")
    if memory.is_dir():
        assert folder.path() == str(memory / f"fastpool-{os.geteuid()}")
    monkeypatch.setattr(folder_posix, "_MEMORY", str(tmp_path / "none"))
    monkeypatch.setattr(folder_posix.tempfile, "gettempdir", lambda: str(tmp_path))
    assert folder.path() == str(tmp_path / f"fastpool-{os.geteuid()}")


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o500, 0o777])
def test_a_folder_of_another_mode_is_refused(party: Party, mode: int) -> None:
    party.folder.chmod(mode)
    try:
        with pytest.raises(fastpool.PoolError, match="0700"):
            pool()
        with pytest.raises(fastpool.PoolError, match="0700"):
            fastpool.shared_stats("tested")
    finally:
        party.folder.chmod(0o700)
    assert list(party.folder.iterdir()) == []


def test_a_link_or_a_file_in_the_folders_place_is_refused(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    link, plain = party.folder.parent / "link", party.folder.parent / "plain"
    link.symlink_to(party.folder)
    plain.write_text("")
    for where in (link, plain, plain / "below", party.folder.parent / "no" / "such"):
        monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(where))
        with pytest.raises(fastpool.PoolError, match=where.name):
            pool()


def test_what_belongs_to_another_user_is_refused(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(party.folder, 12345, -1)
    else:
        monkeypatch.setattr(folder_posix.os, "geteuid", lambda: 12345)
    with pytest.raises(fastpool.PoolError, match="belongs to user"):
        pool()
    if os.geteuid() != 0:
        return
    os.chown(party.folder, 0, -1)
    pool().close()
    make_page(party)
    os.chown(page_of(party), 12345, -1)
    with pytest.raises(fastpool.PoolError, match="belongs to user 12345"):
        pool()


def test_a_page_that_is_a_link_or_has_another_mode_is_refused(party: Party) -> None:
    page = make_page(party)
    for mode in (0o644, 0o400):
        page.chmod(mode)
        with pytest.raises(fastpool.PoolError, match=r"0600|this user may not write"):  # root may write in any case
            pool()
        with pytest.raises(fastpool.PoolError, match=r"0600|this user may not write"):
            fastpool.shared_stats("tested")
    page.chmod(0o600)
    page.rename(party.folder / "elsewhere")
    page.symlink_to(party.folder / "elsewhere")
    with pytest.raises(fastpool.PoolError, match="it is a link"):
        pool()
    page.unlink()
    page.mkdir()
    with pytest.raises(fastpool.PoolError, match=page.name):
        pool()


def test_a_full_disk_is_an_error_and_leaves_nothing(party: Party) -> None:
    program = (
        "import resource, signal, fastpool\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "try: fastpool.Pool(object, close=id, shared='tested')\n"
        "except fastpool.PoolError as error: print(error)\n"
    )
    said = said_by(program)
    assert "RLIMIT_FSIZE" in said.stdout, said
    assert list(party.folder.iterdir()) == []


def test_no_room_for_another_row_is_an_error_for_that_pool_only(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    pools = [pool(shared_max=100) for _ in range(16)]
    real = os.pwrite

    def full(fd: int, data: bytes, at: int) -> int:
        real(fd, memoryview(data)[:1000], at)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched, pytest.raises(fastpool.PoolError, match="file system is full"):
        patched.setattr(folder_posix.os, "pwrite", full)
        pool(shared_max=100)
    pools.append(pool(shared_max=100))
    assert all(one.warm(1) == 1 for one in pools)
    for one in pools:
        one.close()


def test_256_processes_have_room_and_one_more_is_told(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2048)), hard))
    members = []
    for number in range(256):
        monkeypatch.setattr(joining, "_process", [number + 1])
        members.append(joining.join("tested", 5))
    monkeypatch.setattr(joining, "_process", [1])
    members.append(joining.join("tested", 5))  # another pool of a process that is there
    monkeypatch.setattr(joining, "_process", [257])
    with pytest.raises(fastpool.PoolError, match="256 processes"):
        joining.join("tested", 5)
    members.pop(7).leave()
    joining.leave(joining.join("tested", 5), "tested")
    for member in members:
        member.leave()
