"""Classes of a library's connections with a mixin of ours in front."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def is_kind(library: type, connection_class: Any) -> bool:
    """Whether it is a subclass of the library's class of connections."""
    return isinstance(connection_class, type) and issubclass(connection_class, library)


@lru_cache(maxsize=256)
def subclass(mixin: type, library: type, connection_class: type) -> Any:
    """``connection_class`` with ``mixin`` in front, by its own name; itself if it is no subclass of ``library``."""
    if not is_kind(library, connection_class):
        return connection_class
    named = {
        "__module__": connection_class.__module__,
        "__qualname__": connection_class.__qualname__,
        "__doc__": connection_class.__doc__,
    }
    return type(connection_class.__name__, (mixin, connection_class), named)
