"""The leases of a pool in another process, with their holders' stacks: asked by a word of its row, told in a file.

The question is a number in the row of the pool. The pool's watcher sees it and writes what it has into a file of the
pages' folder, which only this user can read and write; the process that asked reads the file and removes it. Nothing is
executed that anybody sends.
"""

from __future__ import annotations

import contextlib
import json
import os
import time

from .._core import clock
from .._errors import PoolError
from .._light.hints import TYPE_CHECKING, Any
from .._servers import server_text
from .._telemetry.holder import info_of
from . import folder as _folder
from .reading import page_of

if TYPE_CHECKING:
    from .._core import Core

_MOST_LEASES = 200
_MOST_FRAMES = 60  # the innermost ones
_NAP_S = 0.01
_STALE_S = 60.0  # an answer that nobody has read by then never will be


def answer(pool: Core, where: str, page: str, number: int, question: int) -> None:
    """Write the leases of ``pool`` into the file of this question, whole or not at all."""
    folder = _folder.opened(make=False, where=where)
    if folder is None:
        return
    file = _file(page, number, question)
    mine = f".{file}"
    try:
        data = json.dumps({"pid": os.getpid(), "pool": pool.name, "leases": _leases(pool)}).encode()
        fd = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        try:
            _folder.write_all(fd, data, 0, mine)
        finally:
            os.close(fd)
        os.rename(mine, file, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(mine, dir_fd=folder)
        raise
    finally:
        os.close(folder)


def _leases(pool: Core) -> list[dict[str, Any]]:
    rows = sorted(pool._leases(), key=lambda row: row[6])[:_MOST_LEASES]
    return [
        {
            "server": None if info.server is None else server_text(info.server),
            "owner": info.owner,
            "depth": info.depth,
            "age_s": info.age_s,
            "ended": info.ended,
            "stack": info.stack()[-_MOST_FRAMES:],
        }
        for info in (info_of(row, clock()) for row in rows)
    ]


def ask(name: str, number: int, patience_s: float = 2.0) -> dict[str, Any]:
    """Ask the pool in row ``number`` of this shared name for its leases, the oldest first.

    A dict: ``pid``, ``pool`` (its name), ``leases``: a list of dicts with ``server``, ``owner``, ``depth``, ``age_s``,
    ``ended`` and ``stack`` (lines as of ``traceback.format_stack``). PoolError: it has not answered within
    ``patience_s`` seconds (it is stopped, or has just ended), or the page cannot be read.
    """
    question = int.from_bytes(os.urandom(4), "little") | 1
    file = _file(_folder.file_name(name), number, question)
    folder = _folder.opened(make=False)
    if folder is None:
        raise PoolError(f"shared {name!r}: no process has a pool of this name")
    try:
        _remove_stale(folder)
        with page_of(name) as member:
            if member is None or number >= member.rows[1] or not member.locked(number + 1):
                raise PoolError(f"shared {name!r}: the process has closed its pool, or has ended")
            member.ask(number, question)
        until = time.monotonic() + patience_s
        while (data := _taken(folder, file)) is None:
            if time.monotonic() > until:
                raise PoolError(f"shared {name!r}: the process has not answered for {patience_s:g} s; is it stopped?")
            time.sleep(_NAP_S)
        found: dict[str, Any] = json.loads(data)
        return found
    finally:
        os.close(folder)


def _file(page: str, number: int, question: int) -> str:
    return f"{page.partition('.')[0]}-{number}-{question:08x}.leases"


def _taken(folder: int, file: str) -> bytes | None:
    """The answer, which is removed; None: it is not there yet. Only a plain file of this user's own is read."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _folder.refused(file, error) from error
    with os.fdopen(fd, "rb") as answered:
        _folder.check_file(file, os.fstat(fd))
        data = answered.read()
    with contextlib.suppress(OSError):
        os.unlink(file, dir_fd=folder)
    return data


def _remove_stale(folder: int) -> None:
    """Remove answers that were never read: the process that asked has ended."""
    for file in os.listdir(folder):
        if file.endswith(".leases"):
            with contextlib.suppress(OSError):
                if time.time() - os.stat(file, dir_fd=folder, follow_symlinks=False).st_mtime > _STALE_S:
                    os.unlink(file, dir_fd=folder)
