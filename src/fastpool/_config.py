"""The options of a pool, checked once, and immutable from then on.

A bad option is a TypeError (unknown name, wrong type) or a ValueError (out of range), and the message names the
option and shows the value. A bool is no number here: ``max_size=True`` is a slip, not a pool of one.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping

from ._light.hints import Any, TypeAlias
from ._light.record import dataclass, field, fields
from ._servers import Server, normalise_servers
from ._telemetry.events import Listeners

MOST_CONNECTIONS = 65535
MOST_OF_ANYTHING = 2**31 - 1

Servers: TypeAlias = tuple[Server, ...] | Callable[[], Iterable[Any]]
Balance: TypeAlias = str | Callable[[tuple[Server, ...], Mapping[Any, int]], Any]

ORDERS = ("lifo", "fifo")
BALANCES = ("round_robin", "random", "least_leased")
RESIZABLE = ("min_size", "max_size", "max_overflow", "max_idle", "shared_max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The options of a pool, validated and normalised; equal when all of them are equal, hashable always.

    Times are seconds, None meaning no limit. ``servers`` becomes a tuple of ``(host, port)`` or stays the callable
    that gives them; ``listeners`` becomes a tuple. Pickles whenever the callables in it do.
    """

    max_size: int = 10
    min_size: int = 0
    order: str = "lifo"
    max_overflow: int = 0
    max_idle: int | None = None
    timeout: float | None = 30.0
    max_waiting: int | None = None
    nested: bool = False
    max_lifetime: float | None = None
    idle_timeout: float | None = None
    max_uses: int | None = None
    check_timeout: float | None = 5.0
    check_after: float | None = 0.5
    keepalive: float | None = None
    max_connecting: int = 2
    # Out of the hash, not out of ==: a dict among the listeners, or an object with __eq__, has no hash.
    servers: Servers | None = field(default=None, hash=False)
    balance: Balance = field(default="round_robin", hash=False)
    backoff: tuple[float, float] = (0.1, 5.0)
    leak_after: float | None = None
    listeners: tuple[Any, ...] = field(default=(), hash=False)
    open: bool = True
    name: str | None = None
    shared: str | None = None
    shared_max: int | None = None
    timing: bool = False
    reclaim: bool = True
    collect_garbage: bool = False

    def __post_init__(self) -> None:
        for option, check in _CHECKS.items():
            object.__setattr__(self, option, check(option, getattr(self, option)))
        if self.min_size > self.max_size:
            raise ValueError(f"min_size must be at most max_size ({self.max_size}), not {self.min_size}")
        if self.max_idle is not None and self.min_size > self.max_idle:
            raise ValueError(f"min_size must be at most max_idle ({self.max_idle}), not {self.min_size}")
        if self.shared_max is not None:
            if self.shared is None:
                raise ValueError(
                    f"shared_max is a cap over all pools of a shared name: {self.shared_max} needs shared=…"
                )
            if self.min_size > self.shared_max:
                raise ValueError(f"shared_max must be at least min_size ({self.min_size}), not {self.shared_max}")

    @classmethod
    def build(cls, **options: Any) -> Config:
        """Make a Config of the options given; TypeError for an unknown or mistyped one, ValueError for its range."""
        unknown = [option for option in options if option not in _CHECKS]
        if unknown:
            raise TypeError(_unknown(unknown[0]))
        return cls(**options)

    def resized(self, **sizes: Any) -> Config:
        """This configuration with other sizes (``min_size, max_size, max_overflow, max_idle``), checked together."""
        for option in sizes:
            if option not in RESIZABLE:
                raise TypeError(f"resize() takes {', '.join(RESIZABLE)}, not {option!r}")
        return self.replaced(**sizes)

    def replaced(self, **options: Any) -> Config:
        """This configuration with other options, checked again."""
        return type(self).build(**{f.name: getattr(self, f.name) for f in fields(self)} | options)

    def given(self) -> dict[str, Any]:
        """The options that differ from their defaults: what has to be said again to get an equal Config."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}


def _shown(value: Any) -> str:
    return f"{value!r} ({type(value).__name__})"


def _unknown(option: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(option, _CHECKS, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown option {option!r}{hint}"


def _integer(name: str, value: Any, or_none: str = "") -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer{or_none}, not {_shown(value)}")
    return operator.index(value)


def _seconds(name: str, value: Any, positive: bool = False) -> float:
    """A finite number of seconds; whatever calls itself a real number will do (int, Fraction, numpy's)."""
    wanted = f"{name} must be a number of seconds {'above 0' if positive else '>= 0'} or None"
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        raise TypeError(f"{wanted}, not {_shown(value)}")
    try:
        seconds = float(value)
    except OverflowError:  # an int of more than 308 digits
        seconds = math.inf if value > 0 else -math.inf
    if not math.isfinite(seconds) or seconds < 0 or (positive and seconds == 0):
        raise ValueError(f"{wanted} and finite, not {value!r}")
    return seconds


_Check: TypeAlias = Callable[[str, Any], Any]


def _count(least: int, most: int, optional: bool = False) -> _Check:
    def check(name: str, value: Any) -> int | None:
        if value is None and optional:
            return None
        number = _integer(name, value, " or None" if optional else "")
        if not least <= number <= most:
            raise ValueError(f"{name} must be from {least} to {most}{' or None' if optional else ''}, not {number}")
        return number

    return check


def _time(positive: bool = False) -> _Check:
    def check(name: str, value: Any) -> float | None:
        return None if value is None else _seconds(name, value, positive)

    return check


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {_shown(value)}")
    return value


def _servers(name: str, value: Any) -> Servers | None:
    if value is None or callable(value):
        return value  # type: ignore[no-any-return]
    return normalise_servers(value)


def _one_of(*texts: str, or_callable: bool = False) -> _Check:
    def check(name: str, value: Any) -> Any:
        if or_callable and callable(value):
            return value
        wanted = f"{name} must be one of {', '.join(map(repr, texts))}{' or a callable' if or_callable else ''}"
        if not isinstance(value, str):
            raise TypeError(f"{wanted}, not {_shown(value)}")
        if value not in texts:
            raise ValueError(f"{wanted}, not {value!r}")
        return value

    return check


def _backoff(name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be (first, longest) in seconds, not {_shown(value)}")
    if len(value) != 2:
        raise ValueError(f"{name} must be (first, longest) in seconds, not {value!r}")
    if None in value:
        raise TypeError(f"{name} must be (first, longest) in seconds, not {value!r}")
    first, longest = (_seconds(name, pause) for pause in value)
    if first > longest:
        raise ValueError(f"{name} must be (first, longest) with first <= longest, not {value!r}")
    return first, longest


def _listeners(name: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list or tuple of listeners, not {_shown(value)}")
    given = tuple(value)
    Listeners(given)  # raises for what is none
    return given


def _name(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a string or None, not {_shown(value)}")
    if value == "":
        raise ValueError(f"{name} must not be empty")
    return value


def _shared(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string or None, not {_shown(value)}")
    from ._shared.folder import encoded

    encoded(value)  # raises for what can be no page's name
    return value


_CHECKS: dict[str, _Check] = {
    "max_size": _count(1, MOST_CONNECTIONS),
    "min_size": _count(0, MOST_CONNECTIONS),
    "order": _one_of(*ORDERS),
    "max_overflow": _count(-1, MOST_CONNECTIONS),
    "max_idle": _count(0, MOST_CONNECTIONS, optional=True),
    "timeout": _time(),
    "max_waiting": _count(0, MOST_OF_ANYTHING, optional=True),
    "nested": _flag,
    "max_lifetime": _time(positive=True),
    "idle_timeout": _time(positive=True),
    "max_uses": _count(1, MOST_OF_ANYTHING, optional=True),
    "check_timeout": _time(positive=True),
    "check_after": _time(),
    "keepalive": _time(positive=True),
    "max_connecting": _count(1, MOST_CONNECTIONS),
    "servers": _servers,
    "balance": _one_of(*BALANCES, or_callable=True),
    "backoff": _backoff,
    "leak_after": _time(positive=True),
    "listeners": _listeners,
    "open": _flag,
    "name": _name,
    "shared": _shared,
    "shared_max": _count(1, MOST_CONNECTIONS, optional=True),
    "timing": _flag,
    "reclaim": _flag,
    "collect_garbage": _flag,
}
