"""The checks that HBase's client, inside the gateway, makes before it asks HBase; ValueError stands for its
IllegalArgumentException.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .store import Column, parse_column

Put = tuple[bytes, bytes, bytes]
"""Family, qualifier, value."""


def check_row(row: bytes) -> bytes:
    """Return a row key if HBase accepts it, or raise ValueError."""
    if not row:
        raise ValueError("Row length 0 is not allowed")
    if len(row) > 32767:
        raise ValueError(f"Row length {len(row)} is > 32767")
    return row


def check_read(timestamp: int) -> None:
    """Raise ValueError if HBase does not read up to this time stamp."""
    if timestamp < 0:
        raise ValueError(f"Timestamp cannot be negative. minStamp:0, maxStamp:{timestamp}")


def check_write(timestamp: int) -> None:
    """Raise ValueError if HBase does not write with this time stamp."""
    if timestamp < 0:
        raise ValueError(f"Timestamp cannot be negative. ts={timestamp}")


def split(mutations: Iterable[Any]) -> tuple[list[tuple[bytes, bytes | None, bytes]], list[Column]]:
    """Return the puts (family, qualifier, value) and the deletes (family, qualifier) among ``mutations``."""
    puts: list[tuple[bytes, bytes | None, bytes]] = []
    deletes: list[Column] = []
    for mutation in mutations:
        column = parse_column(mutation.column)
        if mutation.isDelete:
            deletes.append(column)
        else:
            puts.append((*column, mutation.value or b""))
    return puts, deletes


def whole(cell: tuple[bytes, bytes | None, bytes]) -> Put:
    """Return a cell to put if it names its qualifier, or raise ValueError."""
    family, qualifier, value = cell
    if qualifier is None:
        raise ValueError(f"Invalid column {family!r}: a qualifier is needed, family:qualifier")
    return family, qualifier, value
