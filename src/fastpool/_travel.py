"""A pool travels as its configuration.

Where it arrives, equal configurations are one pool; in the process it came from, and in forks of that, it is the
original, as long as that is open. Equal means: the same class, driver and options, compared as pickles made here
(nothing foreign is loaded).

A pool that was made here because it arrived stays, although nobody holds it any more: the next task of a process pool
brings it again, and would have to connect again. So that processes which are sent ever new pools do not keep them all,
only those stay that arrived last; close() ends one for good.
"""

from __future__ import annotations

import os
import pickle
import threading
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._config import Config
    from ._driver import Driver

_home = os.urandom(16)  # this process
_packed: weakref.WeakValueDictionary[tuple[bytes, int], Any] = weakref.WeakValueDictionary()  # by (process, pool's id)
_by_name: dict[str, weakref.WeakSet[Any]] = {}
_arrived: dict[int, Any] = {}  # by the pool's id, the one that arrived last at the end
_MOST_ARRIVED = 16
_guard = threading.RLock()  # reentrant: a driver that is compared may hold a pool itself


def enlist(pool: Any) -> None:
    """Note that ``pool`` exists in this process, so that an equal one that arrives is this one."""
    with _guard:
        for name in [name for name, pools in _by_name.items() if not pools]:
            del _by_name[name]
        _by_name.setdefault(pool.name, weakref.WeakSet()).add(pool)


def pack(pool: Any) -> tuple[Any, ...]:
    """What pickle keeps of a pool; TypeError if its driver or a listener cannot be pickled."""
    parts = (type(pool), pool.driver, pool.config)
    _key(*parts)
    address = (_home, pool._id)
    with _guard:
        _packed[address] = pool
    return unpack, (*parts, address)


def unpack(kind: Any, driver: Driver, config: Config, address: tuple[bytes, int]) -> Any:
    """The pool of this configuration in this process: one that is open, else a new one."""
    with _guard:
        pool = _packed.get(address)
        if pool is None or pool.closed:
            pool = _equal(kind, driver, config)
        if pool is not None:
            if pool._id in _arrived:
                _keep(pool)
            return pool
        # Nothing is opened under the lock: whoever comes second may get the pool before it has its minimum.
        pool = kind.__new__(kind)
        pool._start(driver, config)
        gone = _keep(pool)
    del gone  # its connections may have finalizers
    pool._open_if_told()
    return pool


def _keep(pool: Any) -> list[Any]:
    """Let ``pool`` stay, and those go that are closed, or did not arrive for longest; the caller drops them."""
    _arrived.pop(pool._id, None)
    _arrived[pool._id] = pool
    leaving = [key for key, one in _arrived.items() if one.closed]
    leaving += list(_arrived)[: max(len(_arrived) - _MOST_ARRIVED, 0)]
    return [_arrived.pop(key) for key in dict.fromkeys(leaving)]


def _equal(kind: Any, driver: Driver, config: Config) -> Any:
    key = _key(kind, driver, config)
    for pool in list(_by_name.get(config.name or "", ())):
        if type(pool) is kind and not pool.closed:
            try:
                if _key(kind, pool.driver, pool.config) == key:
                    return pool
            except TypeError:
                continue  # it cannot travel, so it is not the one that did
    return None


def _key(kind: Any, driver: Driver, config: Config) -> bytes:
    try:
        return pickle.dumps((kind, driver, config))
    except Exception as error:
        raise TypeError(
            f"pool {config.name!r} cannot be pickled: it travels as its configuration; {type(error).__name__}: "
            f"{error}; use module-level functions for connect and the other callables"
        ) from error


def _begin_anew() -> None:
    global _guard, _home
    _guard = threading.RLock()  # another thread may have held it while this process was forked
    _home = os.urandom(16)  # what this process packs from now on is not the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
