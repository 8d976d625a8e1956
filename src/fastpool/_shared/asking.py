"""Asks another process of this user for the leases of a pool, with the stacks of their holders.

The question is a number in the row of the pool. The pool's watcher sees it and writes what it has into a file of the
pages' folder, which only this user can read and write; the process that asked reads the file and removes it. Nothing is
executed that anybody sends.
"""

from __future__ import annotations

import contextlib
import json
import os
import time

from .._errors import PoolError
from .._light.hints import Any
from . import folder as _folder
from .leases import answer_file
from .reading import page_of

_NAP_S = 0.01
_STALE_S = 60.0  # an answer that nobody has read by then never will be


def ask(name: str, number: int, patience_s: float = 10.0) -> dict[str, Any]:
    """Ask the pool in row ``number`` of this shared name for its leases, the oldest first.

    A dict: ``pid``, ``pool`` (its name), ``leases``: a list of dicts with ``server``, ``owner``, ``depth``, ``age_s``,
    ``ended`` and ``stack`` (lines as of ``traceback.format_stack``). PoolError: it has not answered within
    ``patience_s`` seconds (it is stopped, or has just ended), or the page cannot be read.
    """
    question = int.from_bytes(os.urandom(4), "little") | 1
    file = answer_file(_folder.file_name(name), number, question)
    folder = _folder.opened(make=False)
    if folder is None:
        raise PoolError(f"shared {name!r}: no process has a pool of this name")
    with folder:
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


def _taken(folder: _folder.Folder, file: str) -> bytes | None:
    """The answer, which is removed; None: it is not there yet. Only a plain file of this user's own is read."""
    try:
        data = folder.read(file)
    except FileNotFoundError:
        return None
    folder.remove(file)
    return data


def _remove_stale(folder: _folder.Folder) -> None:
    """Remove answers that were never read: the process that asked has ended."""
    for file in folder.names():
        if file.endswith(".leases"):
            with contextlib.suppress(OSError):
                if time.time() - folder.changed(file) > _STALE_S:
                    folder.remove(file)
