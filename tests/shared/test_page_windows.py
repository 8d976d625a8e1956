"""The page's file and its folder on Windows: who else may use them, and by whom a page is removed."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("lists of who may do what are Windows's", allow_module_level=True)

import fastpool
from fastpool._shared import access_windows, folder, folder_windows, joining
from tests.shared._page import make_page, page_of, pool
from tests.shared._party import Party, wait_until

ANYBODY, ANOTHER = "S-1-1-0", "S-1-5-21-1-2-3-1007"
OPEN = f"D:P(A;OICI;FA;;;{access_windows.user()})(A;OICI;FR;;;WD)"  # to be read by anybody


def test_nobody_else_can_use_what_it_makes(party: Party) -> None:
    party.folder.rmdir()
    with pool():
        for where in (party.folder, page_of(party)):
            assert access_windows.shared_with(str(where)) == ""


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FASTPOOL_SHARED_DIR", raising=False)
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    (tmp_path / "Temp").mkdir()
    assert folder.path() == str(tmp_path / "Temp" / f"fastpool-{access_windows.user()}")
    monkeypatch.setenv("LOCALAPPDATA", "")
    assert os.path.dirname(folder.path()) == folder_windows.tempfile.gettempdir()


def test_a_folder_that_others_may_read_is_refused(party: Party) -> None:
    party.folder.rmdir()
    access_windows.make_folder(str(party.folder), OPEN)
    for use in (pool, lambda: fastpool.shared_stats("tested")):
        with pytest.raises(fastpool.PoolError, match=f"may be used by {ANYBODY}"):
            use()
    assert list(party.folder.iterdir()) == []


def test_a_page_that_others_may_read_is_refused(party: Party) -> None:
    page = make_page(party)
    data = page.read_bytes()
    page.unlink()
    access_windows.make_file(str(page), OPEN)
    page.write_bytes(data)
    for use in (pool, lambda: fastpool.shared_stats("tested")):
        with pytest.raises(fastpool.PoolError, match=f"may be used by {ANYBODY}"):
            use()
    assert page.read_bytes() == data


def test_what_belongs_to_another_user_is_refused(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_windows, "_owner_and_dacl", lambda path: (ANOTHER, ""))
    with pytest.raises(fastpool.PoolError, match=f"belongs to {ANOTHER}"):
        pool()


@pytest.mark.parametrize(
    ("dacl", "said"),
    [
        ("PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;;FA;;;OW)", ""),
        ("(A;OICIIO;FA;;;CO)(A;OICIIO;FA;;;WD)", ""),  # of what is made in a folder, and checked there
        ("(D;;FA;;;WD)", ""),
        ("(A;;FR;;;WD)", f"may be used by {ANYBODY}"),
        (f"(A;;FA;;;SY)(A;ID;0x1200a9;;;{ANOTHER})", f"may be used by {ANOTHER}"),
        ("(XA;;FR;;;WD;(1))", f"may be used by {ANYBODY}"),
        ("NO_ACCESS_CONTROL", "may be used by anybody"),
        ("", ""),  # an empty list: nobody
    ],
)
def test_who_else_may_use_it(dacl: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_windows, "_owner_and_dacl", lambda path: (access_windows.user(), dacl))
    assert access_windows.shared_with("") == said


def test_a_file_in_the_folders_place_is_refused(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = party.folder.parent / "plain"
    plain.write_text("")
    for where in (plain, plain / "below", party.folder.parent / "no" / "such"):
        monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(where))
        with pytest.raises(fastpool.PoolError, match=where.name):
            pool()


def test_a_page_cannot_be_removed_while_it_is_used_and_goes_with_its_last_user(party: Party) -> None:
    first, second = pool(shared_max=2), pool(shared_max=2)
    page = page_of(party)
    for one in (first, second):
        with pytest.raises(PermissionError):
            page.unlink()
        one.close()
    del one, first
    gc.collect()
    assert page.exists()
    del second
    wait_until(lambda: gc.collect() >= 0 and not any(party.folder.iterdir()))


def test_what_a_killed_process_leaves_is_removed_by_the_next(party: Party) -> None:
    page, damaged = make_page(party), party.folder / "damaged.page"
    shutil.copy(page, damaged)
    with pool(shared="another"):
        assert not page.exists() and damaged.exists(), "only what is a page is removed"


def test_all_rows_have_room_from_the_beginning(party: Party) -> None:
    with pool():
        assert page_of(party).stat().st_size == joining.HEAD + joining.ROWS * joining.ROW
