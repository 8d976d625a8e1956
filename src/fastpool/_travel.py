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
import weakref
from functools import partial

from ._core import Register
from ._light.hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._config import Config
    from ._driver import Driver

# No lock: pools are made and travel in signal handlers and finalizers, too. These are changed by single operations.
_home = os.urandom(16)  # this process
_packed: dict[tuple[bytes, int], weakref.ref[Any]] = {}  # by (process, pool's id)
_made = Register()  # every pool of this process, by its name
_arrived: dict[int, Any] = {}  # by the pool's id, the one that arrived last at the end
_MOST_ARRIVED = 16


def enlist(pool: Any) -> None:
    """Note that ``pool`` exists in this process, so that an equal one that arrives is this one."""
    _made.add(pool.name, pool)


def pack(pool: Any) -> tuple[Any, ...]:
    """What pickle keeps of a pool; TypeError if its driver or a listener cannot be pickled."""
    parts = (type(pool), pool.driver, pool.config)
    _key(*parts)
    address = (_home, pool._id)
    _packed[address] = weakref.ref(pool, partial(_packed.pop, address))
    return unpack, (*parts, address)


def unpack(kind: Any, driver: Driver, config: Config, address: tuple[bytes, int]) -> Any:
    """The pool of this configuration in this process: one that is open, else a new one."""
    original = _packed.get(address)
    pool = None if original is None else original()
    if pool is None or pool.closed:
        pool = _equal(kind, driver, config)
    if pool is None:
        return _new(kind, driver, config)
    if pool._id in _arrived:
        _keep(pool)
    return pool


def _new(kind: Any, driver: Driver, config: Config) -> Any:
    """A new pool, or the one that somebody else has made of the same meanwhile: whichever was enlisted first."""
    pool = kind.__new__(kind)
    pool._start(driver, config)
    first = _equal(kind, driver, config)
    if first is not pool and first is not None:
        pool._shut()
        return first  # which may not have its minimum yet
    _keep(pool)
    pool._open_if_told()
    return pool


def _keep(pool: Any) -> None:
    """Let ``pool`` stay, and those go that are closed, or did not arrive for longest."""
    _arrived.pop(pool._id, None)
    _arrived[pool._id] = pool
    staying = list(_arrived.items())
    surplus = len(staying) - _MOST_ARRIVED
    for place, (number, one) in enumerate(staying):
        if place < surplus or one.closed:
            _arrived.pop(number, None)


def _equal(kind: Any, driver: Driver, config: Config) -> Any:
    key = _key(kind, driver, config)
    name = config.name or ""
    made = _made.named(name)
    closed = [pool for pool in made if pool.closed]
    if closed:
        _made.drop(name, closed)  # or each arrival would look through all that there ever were
    for pool in made:
        if type(pool) is kind and not pool.closed:
            try:
                if _key(kind, pool.driver, pool.config) == key:
                    return pool
            except TypeError:
                continue  # it cannot travel, so it is not the one that did
    return None


def _key(kind: Any, driver: Driver, config: Config) -> bytes:
    import pickle

    try:
        return pickle.dumps((kind, driver, config))
    except Exception as error:
        raise TypeError(
            f"pool {config.name!r} cannot be pickled: it travels as its configuration; {type(error).__name__}: "
            f"{error}; use module-level functions for connect and the other callables"
        ) from error


def _begin_anew() -> None:
    global _home
    _home = os.urandom(16)  # what this process packs from now on is not the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
