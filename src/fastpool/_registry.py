"""All pools of this process, held weakly: what a fork must tell each of them, and pickling.

A pool is pickled as its configuration. Where it is unpickled, equal configurations are one pool; in the process it
came from, and in forks of that, it is the original, as long as that is open. Equal means: the same class, driver and
options, compared as pickles made here (nothing foreign is loaded).

A pool that was made by unpickling stays, although nobody holds it any more: the next task of a process pool brings it
again, and would have to connect again. So that processes which are sent ever new pools do not keep them all, only those
stay that arrived last; close() ends one for good.
"""

from __future__ import annotations

import atexit
import os
import weakref
from functools import partial

from ._core import pools_here, private_in_use
from ._light.hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._config import Config
    from ._core import Core
    from ._driver import Driver

# No lock: pools are made and pickled in signal handlers and finalizers, too. These are changed by single operations.
_process = os.urandom(16)  # this process
_pickled: dict[tuple[bytes, int], weakref.ref[Any]] = {}  # by (process, pool's id)
_arrived: dict[int, Any] = {}  # by the pool's id, the one that arrived last at the end
_MOST_ARRIVED = 16


def register(pool: Core) -> None:
    """Note that ``pool``, which has its driver and options, exists in this process.

    From now on an equal one that arrives is this one, and a forked child does not harm its parent with it.
    """
    pools_here.add(pool.name, pool)


def everyone() -> list[Any]:
    """All pools that exist."""
    return pools_here.everyone()


def get_pool(name: str) -> Any:
    """The pool of this name in this process that is not closed.

    The registry keeps no pool alive: hold yours somewhere, as in a module or in the settings of a web framework.
    LookupError that lists the names there are, if none or several have this one. TypeError if it is no string.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, not {name!r} ({type(name).__name__})")
    found = [pool for pool in pools_here.named(name) if not pool.closed]
    if len(found) == 1:
        return found[0]
    how_many = f"{len(found)} open pools are" if found else "no open pool is"
    names = ", ".join(repr(one) for one in sorted({pool.name for pool in everyone() if not pool.closed}))
    raise LookupError(
        f"{how_many} called {name!r} in this process; the names of its open pools: {names or 'none'}; "
        "a pool is called what its option name= says"
    )


def weak_notifier(pool: Core) -> Callable[..., None]:
    """``pool._tell`` without keeping the pool alive: one that is dropped ends at once, not at the next collection."""
    weak = weakref.ref(pool)

    def tell(name: str, **fields: Any) -> None:
        alive = weak()
        if alive is not None:
            alive._tell(name, **fields)

    return tell


def weak_call(pool: Core, method: str) -> Callable[[], None]:
    """The pool's method of this name, without keeping the pool alive."""
    weak = weakref.ref(pool)

    def call() -> None:
        alive = weak()
        if alive is not None:
            getattr(alive, method)()

    return call


# ---- the end of the interpreter ------------------------------------------------------------------------------------


def _warn_of_open() -> None:
    """ResourceWarning for the pools that were not closed, where a pool is immortal (free-threaded builds).

    Elsewhere a pool is destroyed with the last reference to it, and the finalizers of its connections warn.
    """
    if "immortal objects" in private_in_use():
        left = [f"{pool.name!r} ({len(pool)} open)" for pool in everyone() if not pool.closed and len(pool)]
        if left:
            import warnings

            told = f"not closed before the interpreter's exit: {', '.join(left)}; call close(), or use `with pool:`"
            warnings.warn(f"fastpool: {told}", ResourceWarning, stacklevel=1)


atexit.register(_warn_of_open)


# ---- pickling ------------------------------------------------------------------------------------------------------


def pack(pool: Core) -> tuple[Any, ...]:
    """The pickled form of a pool; TypeError if its driver or a listener cannot be pickled."""
    parts = (type(pool), pool.driver, pool.config)
    _key(*parts)
    address = (_process, pool._id)
    _pickled[address] = weakref.ref(pool, partial(_pickled.pop, address))
    return unpack, (*parts, address)


def unpack(kind: Any, driver: Driver, config: Config, address: tuple[bytes, int]) -> Any:
    """The pool of this configuration in this process: one that is open, else a new one."""
    original = _pickled.get(address)
    pool = None if original is None else original()
    if pool is None or pool.closed:
        pool = _equal(kind, driver, config)
    if pool is None:
        return _new(kind, driver, config)
    if pool._id in _arrived:
        _keep(pool)
    return pool


def _new(kind: Any, driver: Driver, config: Config) -> Any:
    """A new pool, or an equal one that was registered meanwhile: whichever was first."""
    pool = kind.__new__(kind)
    pool._start(driver, config)
    first = _equal(kind, driver, config)
    if first is not pool and first is not None:
        pool._shut()
        return first  # which may not have its minimum yet
    _keep(pool)
    pool._open_in_constructor()
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
    named = pools_here.named(name)
    over = [pool for pool in named if pool.closed and not len(pool)]
    if over:
        pools_here.drop(name, over)  # or each arrival would look through all that there ever were
    for pool in named:
        if type(pool) is kind and not pool.closed:
            try:
                if _key(kind, pool.driver, pool.config) == key:
                    return pool
            except TypeError:
                continue  # it cannot be pickled, so it is not the one that was
    return None


def _key(kind: Any, driver: Driver, config: Config) -> bytes:
    import pickle

    try:
        return pickle.dumps((kind, driver, config))
    except Exception as error:
        raise TypeError(
            f"pool {config.name!r} cannot be pickled: a pool is pickled as its configuration; {type(error).__name__}: "
            f"{error}; use module-level functions for connect and the other callables"
        ) from error


# ---- fork ----------------------------------------------------------------------------------------------------------


def _in_child() -> None:
    global _process
    _process = os.urandom(16)  # what this process pickles from now on is not the parent's
    for pool in everyone():
        pool._keep_for_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
