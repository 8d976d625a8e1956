"""The types of a SessionPool's keyword arguments."""

from __future__ import annotations

from ..._options import CommonOptions


class SessionPoolOptions(CommonOptions, total=False):
    """The pool's options; ``max_size`` is called ``max_concurrent``."""

    timeout: float | None
    nested: bool
