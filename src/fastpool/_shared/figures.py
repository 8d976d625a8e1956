"""The figures of a pool as bytes, for its row of the page: JSON, compressed where it would not fit."""

from __future__ import annotations

import json
import zlib
from bisect import bisect_left
from collections.abc import Mapping
from typing import NamedTuple

from .._light.hints import Any
from .._telemetry.process_stats import ProcessStats
from .._telemetry.stats import CLOSE_REASONS, Histogram, Stats

# Edges of the pool's own buckets, four times as wide each (1 µs, 4 µs, … 69 s), in ns: every count in them is exact.
EDGES_NS = tuple(2**power for power in range(10, 37, 2))
_NOW = ("size", "idle", "leased", "connecting", "waiting")
_TOTALS = (
    "max_size", "min_size", "checkouts", "checkins", "waits", "timeouts", "rejected", "cancelled", "connects",
    "connect_errors", "leaks",
)  # fmt: skip
_HISTOGRAMS = ("wait", "connect", "hold")
_EMPTY = Histogram()
_LONGEST_TEXT = 64  # characters of a name


class Oldest(NamedTuple):
    """The lease that has been out longest: since when (seconds since the epoch), its holder in words, its server."""

    since: float
    owner: str
    server: str | None


class Told(NamedTuple):
    """The figures of one pool of a shared name, from its row."""

    process: ProcessStats
    stats: Stats
    oldest: Oldest | None
    number: int  # of the row


def packed(
    program: str, since: float, stats: Stats, servers: Mapping[str, int], oldest: Oldest | None, room: int
) -> bytes:
    """These figures in at most ``room`` bytes.

    What does not fit are servers, those with the fewest leases first, and then the histograms.
    """
    named = sorted(servers.items(), key=lambda item: -item[1])
    histograms = [_coarse(getattr(stats, which)) for which in _HISTOGRAMS]
    while True:
        told = [
            program[:_LONGEST_TEXT], since, [getattr(stats, field) for field in _NOW], dict(named),
            stats.name[:_LONGEST_TEXT], [getattr(stats, field) for field in _TOTALS],
            [stats.closed.get(reason, 0) for reason in CLOSE_REASONS], histograms,
            oldest and [oldest.since, oldest.owner[:_LONGEST_TEXT], oldest.server and oldest.server[:_LONGEST_TEXT]],
        ]  # fmt: skip
        data = json.dumps(told, separators=(",", ":")).encode()
        if len(data) > room:
            data = zlib.compress(data)
        if len(data) <= room:
            return data
        if not named:
            histograms = []
        named = named[: len(named) * 3 // 4]


def unpacked(number: int, pid: int, data: bytes) -> Told | None:
    """The figures that ``packed`` wrote in row ``number``; None if there are none yet."""
    try:
        if data[:1] != b"[":
            data = zlib.decompress(data)
        program, since, now, servers, name, totals, closed, histograms, oldest = json.loads(data)
        counts: dict[str, Any] = dict(zip(_NOW, now, strict=True))
        whole: dict[str, Any] = dict.fromkeys(_HISTOGRAMS, _EMPTY)
        whole |= {which: _fine(*found) for which, found in zip(_HISTOGRAMS, histograms, strict=False)}
        stats = Stats(
            name=name,
            **counts,
            **dict(zip(_TOTALS, totals, strict=True)),
            closed=dict(zip(CLOSE_REASONS, closed, strict=True)),
            **whole,
        )
        process = ProcessStats(pid, program, since, **counts, servers=servers)
        return Told(process, stats, None if oldest is None else Oldest(*oldest), number)
    except (ValueError, zlib.error, TypeError):
        return None


def _coarse(histogram: Histogram) -> list[Any]:
    """Count, sum and longest in ns, and how many in each of the wide buckets."""
    counts = [0] * (len(EDGES_NS) + 1)
    for edge, n in histogram.buckets:
        counts[bisect_left(EDGES_NS, round(edge * 1e9))] += n
    while counts and not counts[-1]:
        counts.pop()
    return [histogram.count, round(histogram.sum_s * 1e9), round(histogram.max_s * 1e9), counts]


def _fine(count: int, sum_ns: int, max_ns: int, counts: list[int]) -> Histogram:
    if not count:
        return _EMPTY
    edges = (0, *EDGES_NS, max(max_ns, EDGES_NS[-1]) + 1)
    spans = tuple((edges[i], edges[i + 1], n) for i, n in enumerate(counts) if n)
    return Histogram(count, sum_ns / 1e9, max_ns / 1e9, spans)
