"""The pools of this process, and those of all processes that have a ``shared`` name: sizes and totals, no names."""

from __future__ import annotations

from .._errors import PoolError
from .._light.hints import TYPE_CHECKING, Any
from .._registry import everyone
from .._shared.reading import shared_pools

if TYPE_CHECKING:
    from .._shared.reading import SharedPool

_NOW = ("size", "idle", "leased", "connecting", "waiting")
_TOTALS = ("checkouts", "checkins", "waits", "timeouts", "rejected", "cancelled", "connects", "connect_errors", "leaks")
_PLAIN = (bool, int, float, type(None))
_WORDS = {"order", "balance"}  # options whose text is one of fastpool's own words


def here() -> list[dict[str, Any]]:
    """One entry for each pool, oldest first."""
    return [_pool(pool) for pool in sorted(everyone(), key=lambda pool: pool._id)]


def _pool(pool: Any) -> dict[str, Any]:
    stats = pool.stats()
    return {
        "kind": _class(type(pool)),
        "driver": _class(type(pool.driver)),
        "closed": pool.closed,
        "now": {name: getattr(stats, name) for name in _NOW},
        "in all": {name: n for name in _TOTALS if (n := getattr(stats, name))},
        "connections closed": {reason: n for reason, n in stats.closed.items() if n},
        "longest": {name: f"{getattr(stats, name).max_s:.6f} s" for name in ("wait", "connect", "hold")},
        "options": {name: _option(name, value) for name, value in pool.config.given().items() if name != "name"},
    }


def _class(kind: type[Any]) -> str:
    """The name of a class of ours, or the next of ours that it is made of: the application's are nobody's business."""
    for one in kind.__mro__:
        if one.__module__.partition(".")[0] == "fastpool":
            return one.__qualname__ if one is kind else f"a subclass of {one.__qualname__}"
    return "not one of fastpool's"


def _option(name: str, value: Any) -> Any:
    """The value of an option if it is a number or a word of ours; else only how many there are, or that it is given."""
    if isinstance(value, _PLAIN) or (name in _WORDS and isinstance(value, str)):
        return value
    if isinstance(value, tuple):
        return list(value) if all(isinstance(one, _PLAIN) for one in value) else f"{len(value)} given"
    return "given"


def shared() -> Any:
    """The shared pools of this user on this machine: for each its cap, its processes and their sums."""
    try:
        pools = shared_pools()
    except PoolError as error:
        return f"cannot be read ({type(error).__name__})"
    return [_shared(pool) for pool in pools]


def _shared(pool: SharedPool) -> dict[str, Any]:
    processes = [row.process for row in pool.rows]
    return {
        "shared_max": pool.shared_max,
        "processes": len({process.pid for process in processes}),
        "in all": {name: sum(getattr(process, name) for process in processes) for name in _NOW},
    }
