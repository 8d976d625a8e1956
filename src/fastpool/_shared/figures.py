"""The figures of a pool as bytes, for its row of the page."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

from .._light.hints import Any
from .._telemetry.process_stats import ProcessStats

_FIELDS = ("program", "since", "size", "idle", "leased", "connecting", "waiting")


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
