"""What one pool of a shared name says of itself to all processes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

from .._light.hints import Any
from .._light.record import dataclass

_FIELDS = ("program", "since", "size", "idle", "leased", "connecting", "waiting")


@dataclass(frozen=True, slots=True)
class ProcessStats:
    """One pool of a shared name, in some process of this user on this machine, as it was at most a second ago."""

    pid: int
    """The process, as it knows itself."""
    program: str
    """What it runs: the name of its script, or of the interpreter."""
    since: float
    """When the pool joined the name, in seconds since the epoch."""
    size: int
    """Connections open: ``idle`` + ``leased``."""
    idle: int
    leased: int
    connecting: int
    """Connections being opened."""
    waiting: int
    """Callers in line."""
    servers: Mapping[str, int]
    """``host:port`` → leased connections to it; only servers that have any. Empty without ``servers``."""


def packed(
    program: str, since: float, counts: tuple[int, int, int, int, int], servers: Mapping[str, int], room: int
) -> bytes:
    """These figures in at most ``room`` bytes; what does not fit are servers, those with the fewest leases first."""
    named = sorted(servers.items(), key=lambda item: -item[1])
    program = program[:64]
    while True:
        data = json.dumps([program, since, *counts, dict(named)], separators=(",", ":")).encode()
        if len(data) > room:
            data = zlib.compress(data)
        if len(data) <= room:
            return data
        named = named[: len(named) * 3 // 4]


def unpacked(pid: int, data: bytes) -> ProcessStats | None:
    """The figures that ``packed`` wrote; None if there are none yet."""
    try:
        if data[:1] != b"[":
            data = zlib.decompress(data)
        found: list[Any] = json.loads(data)
        return ProcessStats(pid, **dict(zip(_FIELDS, found[:7], strict=True)), servers=found[7])
    except (ValueError, zlib.error, IndexError, TypeError):
        return None
