"""A pool travels as its configuration.

Where it arrives, equal configurations are one pool: in the process it came from the original, as long as that is
open. Equal means: the same class, driver and options, compared as pickles made here (nothing foreign is loaded).
"""

from __future__ import annotations

import pickle
import threading
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._config import Config
    from ._driver import Driver

_arrived: weakref.WeakValueDictionary[bytes, Any] = weakref.WeakValueDictionary()
_guard = threading.Lock()


def pack(pool: Any) -> tuple[Any, ...]:
    """What pickle keeps of a pool; TypeError if its driver or a listener cannot be pickled."""
    parts = (type(pool), pool.driver, pool.config)
    key = _key(*parts, pool.name)
    with _guard:
        if not pool.closed:
            _arrived.setdefault(key, pool)
    return unpack, parts


def unpack(kind: Any, driver: Driver, config: Config) -> Any:
    """The pool of this configuration in this process: one that is open, else a new one."""
    key = _key(kind, driver, config, config.name)
    with _guard:
        known = _arrived.get(key)
        if known is not None and not known.closed:
            return known
        pool = _arrived[key] = kind.__new__(kind)
        pool._start(driver, config)
    # Connecting is no business of the lock; whoever else unpacks it meanwhile has a pool that connects by itself.
    if config.open:
        pool._open_now()
    return pool


def _key(kind: type, driver: Driver, config: Config, name: str | None) -> bytes:
    try:
        return pickle.dumps((kind, driver, config))
    except Exception as error:
        raise TypeError(
            f"pool {name!r} cannot be pickled: it travels as its configuration, and {type(error).__name__} says: {error}; "
            "use module-level functions for connect and the other callables"
        ) from error
