"""The figures that one pool of a shared name publishes to all processes."""

from __future__ import annotations

from collections.abc import Mapping

from .._light.record import dataclass


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
