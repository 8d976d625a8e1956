"""The compiled module with canned sockets and their server, built when it is first asked for."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

from tools.native import extension


@functools.cache
def canned_module() -> Any:
    path = extension("_canned", Path(__file__).with_name("_canned.pyx"))
    spec = importlib.util.spec_from_file_location("_canned", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
