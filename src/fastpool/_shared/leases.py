"""The leases of this process's pools, with their holders' stacks, for another process of this user that asks."""

from __future__ import annotations

import json
import os

from .._core import clock
from .._light.hints import TYPE_CHECKING, Any
from .._servers import server_text
from .._telemetry.holder import info_of
from . import folder as _folder

if TYPE_CHECKING:
    from .._core import Core

_MOST_LEASES = 200
_MOST_FRAMES = 60  # the innermost ones


def answer(pool: Core, where: str, page: str, number: int, question: int) -> None:
    """Write the leases of ``pool`` into the file of this question, whole or not at all."""
    folder = _folder.opened(make=False, where=where)
    if folder is None:
        return
    with folder:
        data = json.dumps({"pid": os.getpid(), "pool": pool.name, "leases": _leases(pool)}).encode()
        folder.create(answer_file(page, number, question), data)


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


def answer_file(page: str, number: int, question: int) -> str:
    """The name of the file in which a question is answered."""
    return f"{page.partition('.')[0]}-{number}-{question:08x}.leases"
