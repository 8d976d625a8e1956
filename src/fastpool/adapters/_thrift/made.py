"""Sockets and transports that a user's factory made: which protocol reads from them, and their time limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thriftpy2.protocol.binary import TBinaryProtocol as PlainBinaryProtocol
from thriftpy2.protocol.compact import TCompactProtocol

try:
    from thriftpy2.transport.cybase import CyTransportBase
except ImportError:  # thriftpy2 without its compiled part: one protocol reads from every transport
    CyTransportBase = object


def protocol_for(transport: Any, compiled: Callable[..., Any]) -> Callable[..., Any]:
    """The class of protocols that can read from ``transport``: ``compiled`` for thriftpy2's compiled transports."""
    if isinstance(transport, CyTransportBase):
        return compiled
    return TCompactProtocol if compiled is TCompactProtocol else PlainBinaryProtocol


def set_timeout(one: Any, milliseconds: float | None) -> None:
    """Bound each wait of a socket or transport that supports it; thriftpy2 takes milliseconds."""
    setter = getattr(one, "set_timeout", None) or getattr(one, "setTimeout", None)
    if setter is not None:
        setter(milliseconds)


def bound_opening(under: Any, milliseconds: float | None, limit: float | None) -> None:
    """Set a socket's timeout (``milliseconds``), and its connect timeout to at most ``limit`` seconds."""
    if milliseconds:
        set_timeout(under, milliseconds)
    if limit is not None and hasattr(under, "connect_timeout"):
        usual = under.connect_timeout
        under.connect_timeout = limit if usual is None else min(usual, limit)
