"""All pools of this process, held weakly: what a fork must tell each of them, and how one is told of events."""

from __future__ import annotations

import atexit
import os
import weakref

from ._core import Register, private_in_use
from ._light.hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._pool import Pool

_all = Register()


def join(pool: Pool) -> None:
    """Count ``pool`` among those that a forked child must not harm its parent with."""
    _all.add(pool.name, pool)


def everyone() -> list[Pool]:
    """All pools that exist."""
    return _all.everyone()


def teller(pool: Pool) -> Callable[..., None]:
    """``pool._tell`` without keeping the pool alive: one that is dropped ends at once, not at the next collection."""
    weak = weakref.ref(pool)

    def tell(name: str, **fields: Any) -> None:
        alive = weak()
        if alive is not None:
            alive._tell(name, **fields)

    return tell


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


def _in_child() -> None:
    for pool in everyone():
        pool._keep_for_parent()


atexit.register(_warn_of_open)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
