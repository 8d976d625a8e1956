"""Cassandra's Thrift types: ``Column``, ``ColumnParent``, ``ConsistencyLevel``, ``TimedOutException`` and the others.

Keys, names and values of columns are bytes; a str given for one is encoded as UTF-8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .service import types

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


__all__ = [name for name in vars(types) if name[:1].isupper() and name != "Cassandra"]
globals().update({name: getattr(types, name) for name in __all__})
