"""Whole operations on real servers: each of today's pools beside its drop-in from fastpool.

Each module here but ``__main__`` is one library. It has ``NAME``, the text of the table; ``server()``, a context
manager that starts the real server and yields its address; and ``ours(address, size)`` and ``theirs(address, size)``,
context managers that open a pool and yield what makes a block: entering the block checks a connection out, what it
yields does one small operation, leaving it checks the connection in.
"""

from __future__ import annotations

from typing import Any


def in_words(figures: dict[str, Any]) -> str:
    """The load of a row of figures."""
    held = f", each held {figures['held_ms']:g} ms" if figures["held_ms"] else ""
    return f"{figures['threads']} on {figures['connections']}{held}"
