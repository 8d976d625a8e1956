"""For tests, ours and yours: an HBase in memory behind a real Thrift socket, and a TCP proxy that makes trouble.

Nothing is imported before it is touched; :class:`HBaseServer` needs thriftpy2 and happybase's ``Hbase.thrift``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .fault_orders import HeldReplies
    from .fault_proxy import FaultProxy
    from .hbase_script import Hold, Misbehaviour
    from .hbase_server import HBaseServer

__all__ = ["FaultProxy", "HBaseServer", "HeldReplies", "Hold", "Misbehaviour"]

_HOMES = {
    "FaultProxy": "fault_proxy",
    "HBaseServer": "hbase_server",
    "HeldReplies": "fault_orders",
    "Hold": "hbase_script",
    "Misbehaviour": "hbase_script",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
