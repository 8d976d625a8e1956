"""Reports of a pool: numbers (:class:`Stats`, :class:`Histogram`) and holders (:class:`LeaseInfo`)."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from types import FrameType

from .._light.hints import Any
from .._light.record import dataclass, field

CLOSE_REASONS = (
    "lifetime",
    "idle",
    "max_uses",
    "max_idle",
    "overflow",
    "dead",
    "desync",
    "error",
    "discarded",
    "cleared",
    "resized",
    "closed",
)


@dataclass(frozen=True, slots=True, repr=False)
class Histogram:
    """Durations in seconds: their number, sum, maximum and distribution.

    Durations were counted in buckets, a quarter of a power of two wide, so a percentile is right to about 10 %
    (interpolated inside its bucket, and never above ``max_s``). ``count``, ``sum_s`` and ``max_s`` are exact.
    """

    count: int = 0
    sum_s: float = 0.0
    max_s: float = 0.0
    # (least, first beyond, how many), in ns, of the buckets that are not empty
    _spans: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def from_core(
        cls, count: int, sum_ns: int, max_ns: int, counts: Sequence[int], edges_ns: Sequence[int]
    ) -> Histogram:
        """Make one of the core's numbers: ``counts[i]`` durations lay in ``edges_ns[i] <= d < edges_ns[i + 1]``.

        The last bucket may be open (as many edges as counts): it then ends just beyond ``max_ns``.
        """
        if len(edges_ns) not in (len(counts), len(counts) + 1):
            raise ValueError(f"{len(counts)} counts need {len(counts)} or {len(counts) + 1} edges, not {len(edges_ns)}")
        # Few buckets are not empty, and thousands of errors of an exhausted pool may have a snapshot each.
        spans = tuple(
            (edges_ns[i], edges_ns[i + 1] if i + 1 < len(edges_ns) else max(max_ns, edges_ns[i]) + 1, counts[i])
            for i in compress(range(len(counts)), counts)
        )
        return cls(count, sum_ns / 1e9, max_ns / 1e9, spans)

    @property
    def buckets(self) -> tuple[tuple[float, int], ...]:
        """``(upper edge in seconds, how many)`` of each bucket that is not empty, ascending; not cumulative.

        A duration counted in a bucket is below its upper edge and not below the upper edge of the one before.
        """
        return tuple((high / 1e9, n) for _, high, n in self._spans)

    @property
    def mean_s(self) -> float:
        """The mean in seconds; 0.0 if nothing was counted."""
        return self.sum_s / self.count if self.count else 0.0

    def percentile(self, q: float) -> float:
        """The duration in seconds that ``q`` per cent (0 … 100) of the durations do not exceed; 0.0 if there are none.

        ValueError for a ``q`` outside of 0 … 100.
        """
        if isinstance(q, bool) or not hasattr(q, "__float__"):
            raise TypeError(f"q must be a number from 0 to 100, not {q!r}")
        if not 0 <= q <= 100:
            raise ValueError(f"q must be from 0 to 100, not {q!r}")
        if not self._spans:
            return 0.0
        # The buckets' own total: a reader takes no lock, so `count` may be a moment ahead of them.
        rank = q / 100 * sum(n for *_, n in self._spans)
        for low_ns, high_ns, n in self._spans:
            if q < 100 and rank <= n:
                low = low_ns / 1e9
                # In the topmost bucket there is nothing between the maximum and the edge.
                high = min(high_ns / 1e9, self.max_s)
                return min(low + max(high - low, 0.0) * rank / n, self.max_s)
            rank -= n
        return self.max_s

    def __repr__(self) -> str:
        if not self.count:
            return "<Histogram: nothing counted>"
        marks = {"mean": self.mean_s, "p50": self.percentile(50), "p99": self.percentile(99), "max": self.max_s}
        return f"<Histogram: {self.count} × {', '.join(f'{k} {duration_text(v)}' for k, v in marks.items())}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A pool at one moment: sizes now, totals since it was made, and how long things took.

    Read without a lock, so numbers that change together may be a moment apart.
    """

    name: str
    max_size: int
    min_size: int
    size: int
    idle: int
    leased: int
    connecting: int
    waiting: int
    checkouts: int = 0
    checkins: int = 0
    waits: int = 0
    timeouts: int = 0
    rejected: int = 0
    cancelled: int = 0
    connects: int = 0
    connect_errors: int = 0
    leaks: int = 0
    closed: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(CLOSE_REASONS, 0), hash=False)
    wait: Histogram = Histogram()
    connect: Histogram = Histogram()
    hold: Histogram = Histogram()


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """The holder of a connection: ``slot``, ``server``, ``owner`` (in words), ``thread`` (name), ``depth``, ``age_s``.

    ``server`` is None in a pool without servers; ``depth`` counts nested blocks, from 1; ``age_s`` is how long it has
    been held, in seconds; ``ended`` tells that the thread, greenlet or task that took it has ended. Keeps neither the
    holder's greenlet nor its task alive, and is pickled without them.
    """

    slot: int
    server: Any
    owner: str
    thread: str
    depth: int
    age_s: float
    ended: bool = False
    _ident: int | None = field(default=None, repr=False, compare=False)
    _greenlet: weakref.ref[Any] | None = field(default=None, repr=False, compare=False)
    _task: weakref.ref[Any] | None = field(default=None, repr=False, compare=False)

    def stack(self) -> list[str]:
        """Where the holder is now, outermost call first, as ``traceback.format_stack`` gives it; [] if it is gone.

        A task's is the chain of its coroutines where they are suspended. ``"".join(info.stack())`` prints well.
        """
        from traceback import StackSummary

        frames = list(self._frames())
        return StackSummary.extract((frame, frame.f_lineno) for frame in frames).format()

    def _frames(self) -> Iterator[FrameType]:
        if self._task is not None:
            task = self._task()
            if task is None or task.done():
                return iter(())
            frames, running = _await_chain(task.get_coro())
            return self._thread_frames() if running else iter(frames)
        if self._greenlet is not None:
            greenlet = self._greenlet()
            if not greenlet:  # gone, dead, or not started
                return iter(())
            if greenlet.gr_frame is not None:  # None: it is the one that runs in its thread now
                return _outermost_first(greenlet.gr_frame)
        return self._thread_frames()

    def _thread_frames(self) -> Iterator[FrameType]:
        frame = sys._current_frames().get(self._ident) if self._ident is not None else None
        while frame is not None and frame.f_code.co_filename == __file__:
            frame = frame.f_back  # the holder calls stack() itself: leave that frame out
        return _outermost_first(frame)

    def __reduce__(self) -> tuple[Any, ...]:
        return LeaseInfo, (self.slot, self.server, self.owner, self.thread, self.depth, self.age_s, self.ended)


for _public in (Histogram, Stats, LeaseInfo):
    _public.__module__ = "fastpool"
del _public


def duration_text(seconds: float) -> str:
    """A duration in words: ``350 ns``, ``1.25 ms``, ``12.3 s``, ``2 h 05 min``."""
    if seconds >= 3600:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02} min"
    if seconds >= 100:
        return f"{seconds:.0f} s"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _outermost_first(frame: FrameType | None) -> Iterator[FrameType]:
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return reversed(frames)


def _await_chain(awaited: Any) -> tuple[list[FrameType], bool]:
    """The frames of a coroutine and of all that it awaits, and whether it runs at this moment."""
    frames: list[FrameType] = []
    while awaited is not None:
        for kind, inner in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
            if hasattr(awaited, f"{kind}_frame"):
                if getattr(awaited, f"{kind}_running", False):
                    return frames, True
                frame = getattr(awaited, f"{kind}_frame")
                if frame is not None:
                    frames.append(frame)
                awaited = getattr(awaited, inner, None)
                break
        else:
            break  # a future, which has no frame
    return frames, False


def describe_holders(holders: Iterable[LeaseInfo], limit: int = 20) -> list[str]:
    """A line for each lease, the oldest first; beyond ``limit`` only how many more there are."""
    from .._servers import server_text

    ordered = sorted(holders, key=lambda info: info.age_s, reverse=True)
    lines = []
    for info in ordered[:limit]:
        where = "" if info.server is None else f" to {server_text(info.server)}"
        nested = f", {info.depth} blocks deep" if info.depth > 1 else ""
        lines.append(f"slot {info.slot}{where}: held for {duration_text(info.age_s)} by {info.owner}{nested}")
    if len(ordered) > limit:
        lines.append(f"… and {len(ordered) - limit} more")
    return lines


_SPENT = {"wait": "in line", "connect": "connecting", "check": "checking connections"}
_ADVICE = {
    "wait": "Hold connections for shorter, raise {size_option}, or give the checkout a longer timeout.",
    "connect": "See whether the server is reachable, or give the checkout a longer timeout.",
    "check": "See why connections die or check() takes so long, or give the checkout a longer timeout.",
}


def explain(
    stats: Stats,
    holders: Iterable[LeaseInfo],
    waited: float,
    phase: str,
    last_error: BaseException | None = None,
    headline: str | None = None,
    advice: str | None = None,
    held: Iterable[str] | None = None,
    size_option: str = "max_size",
) -> str:
    """The message of a checkout that got nothing: what was tried, the sizes, the holders, and what to do.

    ``headline`` and ``advice`` replace the first and the last line; ``held``: what `describe_holders` said;
    ``size_option``: what to raise.
    """
    if headline is None:
        headline = f"pool {stats.name!r} had no connection to give within {duration_text(waited)} ({_SPENT[phase]})"
    lines = [
        headline,
        f"  {stats.size} open of at most {stats.max_size}: {stats.leased} leased, {stats.idle} idle; "
        f"{stats.connecting} connecting; {stats.waiting} waiting",
        *(f"  {line}" for line in (describe_holders(holders) if held is None else held)),
    ]
    if last_error is not None:
        lines.append(f"  last failed connect: {error_text(last_error)}")
    lines.append(_ADVICE[phase].format(size_option=size_option) if advice is None else advice)
    return "\n".join(lines)


def error_text(error: BaseException) -> str:
    """An exception in one line, as at the end of its traceback."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # its __str__ may raise
        text = "(its message cannot be shown)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
