"""A pool of the shared name, and the file of its page."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fastpool
from fastpool._shared import folder
from tests.shared._party import SOURCE, Party


class Connection:
    """A connection to nothing."""

    def close(self) -> None:
        pass


def pool(**options: object) -> fastpool.Pool[Connection]:
    return fastpool.Pool(Connection, **{"shared": "tested", **options})  # type: ignore[arg-type]


def page_of(party: Party, name: str = "tested") -> Path:
    return party.folder / folder.file_name(name)


def said_by(program: str) -> subprocess.CompletedProcess[str]:
    """The output of this program, run by a process of its own; it must end well."""
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, timeout=60, check=True, env={**os.environ, "PYTHONPATH": SOURCE},
    )  # fmt: skip


def make_page(party: Party) -> Path:
    """A page whose users were killed."""
    worker = party.worker(shared_max=3)
    worker.do("take()")
    worker.kill()
    return page_of(party)
