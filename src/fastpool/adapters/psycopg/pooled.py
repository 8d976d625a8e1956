"""Connections that know their pool while they are out, as psycopg's ``close()`` and ``with`` ask them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_origin

from .._subclass import subclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._core import Entry


class Pooled:
    """Mixed into a connection class of psycopg's, in front of it."""

    _entry: Entry | None = None  # its slot, from the end of its connect on
    _reference: Callable[[], Any] | None = None  # weak: a connection that somebody keeps does not keep its pool

    @property
    def _pool(self) -> Any:
        """The pool while the connection is out, or is being opened; None otherwise."""
        entry = self._entry
        if self._reference is None or (entry is not None and not (entry.held and entry.connection is self)):
            return None
        return self._reference()

    @_pool.setter
    def _pool(self, pool: Any) -> None:
        self._reference = None if pool is None else pool.reference


def pooled(library: type, connection_class: Any) -> Any:
    """A subclass of ``connection_class`` that knows its pool; itself if it is none of psycopg's kind."""
    return subclass(Pooled, library, get_origin(connection_class) or connection_class)
