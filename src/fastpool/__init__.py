"""fastpool: a connection pool with a compiled core.

``fastpool.ConnectionPool`` replaces happybase's, ``fastpool.Pool`` pools any synchronous connection,
``fastpool.AsyncPool`` any that is awaited. What needs a library is imported when it is first touched.
"""

from __future__ import annotations

from ._core import AsyncLease, Lease
from ._driver import Driver
from ._errors import (
    AllServersUnavailable,
    LeaseError,
    NoConnectionsAvailable,
    PoolClosed,
    PoolDeadlock,
    PoolError,
    PoolOverloaded,
)
from ._light.hints import TYPE_CHECKING, Any
from ._pool import Pool
from ._registry import get_pool
from ._telemetry.stats import Histogram, LeaseInfo, Stats
from ._version import __version__

if TYPE_CHECKING:
    from . import aio as aio
    from . import drivers as drivers
    from . import testing as testing
    from ._async.pool import AsyncPool
    from ._doctor import doctor
    from ._options import PoolOptions
    from ._shared.reading import shared_stats
    from ._telemetry.process_stats import ProcessStats
    from .adapters.happybase.pool import ConnectionPool, install, uninstall

__all__ = [
    "AllServersUnavailable",
    "AsyncLease",
    "AsyncPool",
    "ConnectionPool",
    "Driver",
    "Histogram",
    "Lease",
    "LeaseError",
    "LeaseInfo",
    "NoConnectionsAvailable",
    "Pool",
    "PoolClosed",
    "PoolDeadlock",
    "PoolError",
    "PoolOptions",
    "PoolOverloaded",
    "ProcessStats",
    "Stats",
    "__version__",
    "doctor",
    "get_pool",
    "install",
    "shared_stats",
    "uninstall",
]

_LAZY = {
    "AsyncPool": "._async.pool",
    "doctor": "._doctor",
    "PoolOptions": "._options",
    "ProcessStats": "._telemetry.process_stats",
    "shared_stats": "._shared.reading",
    "ConnectionPool": ".adapters.happybase.pool",
    "install": ".adapters.happybase.pool",
    "uninstall": ".adapters.happybase.pool",
}
_LAZY_MODULES = ("aio", "drivers", "testing")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _LAZY:
        value = getattr(import_module(_LAZY[name], __name__), name)
        globals()[name] = value
        return value
    if name in _LAZY_MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_LAZY_MODULES})


for _name in ("Driver", "Pool", "get_pool"):
    globals()[_name].__module__ = __name__
del _name
