"""Test doubles for this project's tests and yours: an HBase in memory behind a real Thrift socket, a TCP proxy that
makes trouble, and a clock that is set by the test.

Each is imported when it is first used; :class:`HBaseServer` needs thriftpy2 and happybase's ``Hbase.thrift``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .faults.orders import HeldReplies
    from .faults.proxy import FaultProxy
    from .hbase.script import Hold, Misbehaviour
    from .hbase.server import HBaseServer
    from .virtual_clock import VirtualClock

__all__ = ["FaultProxy", "HBaseServer", "HeldReplies", "Hold", "Misbehaviour", "VirtualClock"]

_HOMES = {
    "FaultProxy": "faults.proxy",
    "HBaseServer": "hbase.server",
    "HeldReplies": "faults.orders",
    "Hold": "hbase.script",
    "Misbehaviour": "hbase.script",
    "VirtualClock": "virtual_clock",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
