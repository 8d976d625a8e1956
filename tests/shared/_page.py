"""A pool of the shared name, and the file of its page."""

from __future__ import annotations

from pathlib import Path

import fastpool
from fastpool._shared import folder
from tests.shared._party import Party


class Connection:
    """A connection to nothing."""

    def close(self) -> None:
        pass


def pool(**options: object) -> fastpool.Pool[Connection]:
    return fastpool.Pool(Connection, **{"shared": "tested", **options})  # type: ignore[arg-type]


def page_of(party: Party, name: str = "tested") -> Path:
    return party.folder / folder.file_name(name)


def make_page(party: Party) -> Path:
    """A page whose users were killed."""
    worker = party.worker(shared_max=3)
    worker.do("take()")
    worker.kill()
    return page_of(party)
