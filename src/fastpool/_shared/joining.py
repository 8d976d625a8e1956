"""Joining a page: its file is made if there is none, checked, and a row taken in it.

A file is made under another name, whole, and then linked to its own, so none is ever found half made. Who joins or
leaves has the lock of byte 0, which the kernel drops if the process dies; rows are known to be somebody's by their own
locks, so what dead processes left behind is cleared by whoever comes next.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
import zlib

from .._core import SHARED_LAYOUT, SharedMember
from .._errors import PoolError
from . import folder as _folder
from .refusal import refused

HEAD, ROW, ROWS, FIXED, FIGURES, NO_CAP, SUPPORTED = SHARED_LAYOUT
PROCESSES = 256
MAGIC = b"fastpool\r\n\x1a\n"
VERSION = 1
_FIXED = struct.Struct("<12sIIIIIH")  # magic, version, bytes of head and row, most rows, words' check, length of name
_ORDER = struct.unpack("=I", b"\x01\x02\x03\x04")[0]  # differs with the order of bytes
_CAP_AT = FIXED + 64  # in the page
_STEP = 16  # rows of a new file, and those that it grows by
_PATIENCE_S = 10.0  # with whoever joins or leaves at the moment
_NAP_S = 0.001
_process = [int.from_bytes(os.urandom(8), "little")]  # of this process


def _in_child() -> None:
    _process[0] = int.from_bytes(os.urandom(8), "little")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def join(name: str, cap: int | None, again: bool = False, at_most_s: float = _PATIENCE_S) -> SharedMember:
    """A row in the page of this name. PoolError: it cannot be used, or has no row left; ValueError: another cap is set.

    ``again``: this process's pool had a row before, or its parent's; a cap that was changed since is right.
    """
    if not SUPPORTED:
        raise PoolError(
            "shared: this system has no locks of open files that end with their process, which shared= needs (Linux, "
            "macOS and Windows have them); leave it out"
        )
    file = _folder.file_name(name)
    folder = _folder.opened(make=True)
    assert folder is not None
    with folder:
        if folder.removes_at_close:
            _remove_unused(folder)
        until = time.monotonic() + at_most_s
        while True:
            member = _opened(folder, file, name)
            if member is not None:
                try:
                    if _enter(member, folder, file, name, until):
                        _sit(member, name, cap, again)
                        return member
                finally:
                    member.unlock(0)
            if time.monotonic() > until:
                raise PoolError(f"shared {name!r}: its page {_where(file)!r} was replaced again and again meanwhile")


def _remove_unused(folder: _folder.Folder) -> None:
    """Remove what processes left behind that ended without closing their pools: open each page, and close it again."""
    for file in _folder.pages(folder):
        with contextlib.suppress(OSError, PoolError, ValueError):
            look_at(folder.page(file), name_in(folder, file))


def leave(member: SharedMember, name: str, where: str | None = None) -> None:
    """Give up the row; the last one removes the page. ``where``: the folder, if that is not the one of now."""
    member.leave()
    remove_if_unused(member, name, where)


def remove_if_unused(
    member: SharedMember, name: str, where: str | None = None, mine: frozenset[int] = frozenset()
) -> None:
    """Remove the page's file unless somebody else has a row in it. Never raises: it is a matter of tidiness.

    ``mine``: rows of this process, which is about to end.
    """
    with contextlib.suppress(OSError, PoolError):
        folder = _folder.opened(make=False, where=where)
        if folder is None:
            return
        with folder:
            if _lock(member, time.monotonic() + 1.0):
                try:
                    if not _others(member, mine) and folder.has(member, _folder.file_name(name)):
                        folder.remove(_folder.file_name(name))
                finally:
                    member.unlock(0)


def _others(member: SharedMember, mine: frozenset[int]) -> bool:
    if not mine:
        return member.locked(1, ROWS)
    return any(member.locked(row + 1) for row in range(member.rows[1]) if row not in mine)


def _where(file: str) -> str:
    return os.path.join(_folder.path(), file)


def _opened(folder: _folder.Folder, file: str, name: str) -> SharedMember | None:
    """The page, open and plausible; None: it was made, or removed, this very moment."""
    try:
        return folder.page(file)
    except FileNotFoundError:
        folder.create(file, _new_page(name))
        return None
    except OSError as error:
        raise refused(_where(file), error) from error


def _new_page(name: str) -> bytes:
    """A page that nobody has a row of."""
    page = bytearray(HEAD + _STEP * ROW)
    fixed = fixed_part(name)
    page[: len(fixed)] = fixed
    struct.pack_into("=II", page, _CAP_AT, NO_CAP, _STEP)
    return bytes(page)


def fixed_part(name: str) -> bytes:
    """The constant first bytes of a name's page."""
    data = _folder.encoded(name)
    said = _FIXED.pack(MAGIC, VERSION, HEAD, ROW, ROWS, _ORDER, len(data)) + data
    return said + struct.pack("<I", zlib.crc32(said))


def name_in(folder: _folder.Folder, file: str) -> str:
    """The name that the page in this file has. PoolError, ValueError: it is none that this fastpool can read."""
    try:
        data = folder.read(file, FIXED)
    except OSError as error:
        raise refused(_where(file), error) from error
    if len(data) < _FIXED.size:
        raise ValueError(f"{file} is no page")
    *_, length = _FIXED.unpack_from(data)
    name = data[_FIXED.size : _FIXED.size + length].decode("utf-8")
    if _folder.file_name(name) != file:
        raise ValueError(f"{file} is no page of that name")
    return name


def checked(data: bytes, size: int, name: str, where: str) -> None:
    """PoolError unless a page's first bytes, and the size of its file, are those of this name's page."""
    advice = "nothing was changed; end the processes that use it, and remove it"
    magic, version, *_ = _FIXED.unpack_from(data.ljust(_FIXED.size, b"\0"))
    if len(data) < _FIXED.size or magic != MAGIC:
        raise PoolError(f"shared {name!r}: {where!r} is no page of fastpool's, or was cut off; {advice}")
    if version != VERSION:
        raise PoolError(
            f"shared {name!r}: {where!r} is a page of version {version}, and this fastpool has version {VERSION}: "
            f"all processes of a name need the same fastpool; {advice}"
        )
    fixed = fixed_part(name)
    if data[: len(fixed)] != fixed:
        raise PoolError(f"shared {name!r}: {where!r} is damaged, or the page of another name or system; {advice}")
    if size < HEAD + _STEP * ROW:
        raise PoolError(f"shared {name!r}: {where!r} was cut off: it has {size} bytes; {advice}")


def check_used(member: SharedMember, name: str) -> None:
    """PoolError if the file does not have all the rows that its mapped page says are used: to touch them would kill."""
    _, used = member.rows
    size = member.size  # after that: who joins makes the file longer before the row is used
    if used > ROWS or size < HEAD + used * ROW:
        where = _where(_folder.file_name(name))
        raise PoolError(f"shared {name!r}: {where!r} was cut off: it has {size} bytes, and {used} rows; remove it")


def _lock(member: SharedMember, until: float) -> bool:
    while not member.lock(0):
        if time.monotonic() > until:
            return False
        time.sleep(_NAP_S)
    return True


def look_at(member: SharedMember, name: str, folder: _folder.Folder | None = None) -> int:
    """Check the page, and map it; the size of its file. PoolError if it is not that of this name, or damaged.

    ``folder``: to take a row.
    """
    file = _folder.file_name(name)
    where = _where(file)
    _folder.check_page(member, where)
    size = member.size
    try:
        checked(member.fixed, size, name, where)
        if folder is None:
            member.map()
        else:
            folder.map(member, file)
    except OSError as error:
        raise refused(where, error) from error
    return size


def _enter(member: SharedMember, folder: _folder.Folder, file: str, name: str, until: float) -> bool:
    """Have the lock of those who join and leave, and the page mapped; False: it was removed or replaced meanwhile."""
    if not _lock(member, until):
        raise PoolError(
            f"shared {name!r}: another process joins or leaves its page {_where(file)!r} and does not come to an end "
            "of it; is it stopped?"
        )
    if not folder.has(member, file):
        return False
    size = look_at(member, name, folder)
    if not member.locked(1, ROWS):
        member.wipe(min((size - HEAD) // ROW, ROWS))  # the last pool of the name is gone, or never came
    rows, used = member.rows
    if not (used <= rows <= ROWS and size >= HEAD + rows * ROW):
        where = _where(file)
        raise PoolError(f"shared {name!r}: {where!r} was cut off: it has {size} bytes, and {rows} rows; remove it")
    return True


def _sit(member: SharedMember, name: str, cap: int | None, again: bool) -> None:
    """Take a row, and set the cap if this is the first to say one."""
    set_before = member.cap
    if cap is not None and set_before is not None and cap != set_before and not again:
        raise ValueError(
            f"shared_max is {set_before} for shared={name!r}, set by the first pool of that name; it cannot be {cap} "
            "here; give the same, or None, or change it for all with pool.resize(shared_max=…)"
        )
    process = _process[0]
    here = [row for row in member.holders() if member.locked(row[0] + 1)]
    others = {row[2] for row in here}
    if process not in others and len(others) >= PROCESSES:
        raise PoolError(f"shared {name!r}: {len(others)} processes have pools of this name, the most there can be")
    key = int.from_bytes(os.urandom(8), "little") | 1
    rows, used = member.rows
    for number in range(min(used + 1, rows)):
        if not member.locked(number + 1) and member.sit(number, os.getpid(), key, process):
            break
    else:
        if rows >= ROWS:
            raise PoolError(f"shared {name!r}: {rows} pools have this name already, the most there can be")
        _folder.extend(member, bytes(_STEP * ROW), HEAD + rows * ROW, _where(_folder.file_name(name)))
        member.rows = rows + _STEP  # type: ignore[assignment]
        if not member.sit(rows, os.getpid(), key, process):
            raise PoolError(f"shared {name!r}: no row of the page could be taken")
    if cap is not None and set_before is None:
        member.cap = cap
