"""The compiled codec, if it was built: ``codec`` is None where it was not, or where FASTPOOL_CODEC is "off"."""

from __future__ import annotations

import os
from typing import Any


def _load() -> Any:
    if os.environ.get("FASTPOOL_CODEC", "").lower() == "off":
        return None
    try:
        from . import codec
    except ImportError:
        return None
    return codec


codec: Any = _load()
