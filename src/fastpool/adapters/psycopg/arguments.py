"""The arguments of psycopg_pool's pools, checked as it does, and what they are in ours."""

from __future__ import annotations

import math
from typing import Any

import psycopg

LONGEST_PAUSE_S = 5.0
UNLIMITED = 65535
UNCHECKED_S = (
    0.05  # no server ends and accepts again in less; with less than a tick of the clock every checkout would look
)

# psycopg_pool's own, with their defaults; `open`, `name` and the driver's are not among them
DEFAULTS: dict[str, Any] = {
    "min_size": 4,
    "max_size": None,
    "close_returns": False,
    "timeout": 30.0,
    "max_waiting": 0,
    "max_lifetime": 3600.0,
    "max_idle": 600.0,
    "reconnect_timeout": 300.0,
    "reconnect_failed": None,
    "num_workers": 3,
}


def checked_sizes(min_size: int, max_size: int | None) -> tuple[int, int]:
    """The sizes of a pool; ValueError for impossible ones. ``max_size`` None: the same as ``min_size``."""
    if max_size is None:
        max_size = min_size
    if min_size < 0:
        raise ValueError(f"min_size cannot be negative, and it is {min_size}")
    if max_size < min_size:
        raise ValueError(f"max_size must be greater or equal than min_size ({min_size}), not {max_size}")
    if max_size == 0:
        raise ValueError("if min_size is 0 max_size must be greater than 0")
    return min_size, max_size


def checked_null_sizes(min_size: int, max_size: int | None) -> tuple[int, int]:
    """The sizes of a null pool; ``max_size`` 0 or None: no limit."""
    if min_size != 0:
        raise ValueError(f"null pools must have min_size = 0, not {min_size}")
    if max_size is not None and max_size < 0:
        raise ValueError(f"max_size must be greater or equal than min_size (0), not {max_size}")
    return 0, max_size or 0


def finite(seconds: float | None) -> float | None:
    """Seconds for our options, where None is no limit."""
    return None if seconds is None or seconds == math.inf else seconds


def split(arguments: dict[str, Any], null: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a pool with these arguments, and the options of :class:`fastpool.Pool`.

    A name of psycopg_pool's means what it means there: ``max_idle`` is in seconds, and fastpool's option of that name
    is ``pool_max_idle`` here. TypeError or ValueError for a bad one.
    """
    options = dict(arguments)
    settings = {name: options.pop(name, default) for name, default in DEFAULTS.items()}
    settings["min_size"], settings["max_size"] = (checked_null_sizes if null else checked_sizes)(
        settings["min_size"] if not null or "min_size" in arguments else 0, settings["max_size"]
    )
    if settings["close_returns"] and not null and tuple(map(int, psycopg.__version__.split(".")[:2])) < (3, 3):
        raise TypeError(f"close_returns=True needs psycopg 3.3 or newer, and this is {psycopg.__version__}")
    if settings["num_workers"] < 1:
        raise ValueError(f"num_workers must be at least 1, not {settings['num_workers']}")
    settings["pauses"] = options.pop("backoff", (None, LONGEST_PAUSE_S))
    settings["open"] = options.pop("open", None)
    size = settings["max_size"]
    ours: dict[str, Any] = {
        "max_size": size or 1,
        "order": "fifo",
        "timeout": finite(settings.pop("timeout")),
        "max_waiting": settings.pop("max_waiting") or None,
        "max_lifetime": finite(settings.pop("max_lifetime")),
        "check_after": 0 if options.pop("checks", False) else UNCHECKED_S,
        "max_connecting": settings["num_workers"],
        "open": False,
    }
    if null:
        settings["close_returns"] = False
        ours |= {"max_overflow": 0 if size else -1, "max_idle": 0, "max_connecting": size or UNLIMITED}
    if "pool_max_idle" in options:
        options["max_idle"] = options.pop("pool_max_idle")
    options["name"] = options.get("name") or None
    return settings, ours | options
