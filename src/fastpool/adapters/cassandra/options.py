"""What a SessionPool can be given by name, as types."""

from __future__ import annotations

from ..._options import CommonOptions


class SessionPoolOptions(CommonOptions, total=False):
    """The pool's options; ``max_size`` is called ``max_concurrent``."""

    timeout: float | None
    nested: bool
