"""Loads aiohappybase's IDL without pkg_resources, so that aiohappybase can be imported.

aiohappybase 1.4.0 finds its Hbase.thrift by pkg_resources, which setuptools 82 no longer has.
"""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_LOADER = "aiohappybase._load_hbase_thrift"


def load() -> None:
    """Load the IDL as ``Hbase_thrift`` in place of aiohappybase's own loader; does nothing after its import."""
    spec = find_spec("aiohappybase") if "aiohappybase" not in sys.modules else None
    if spec is None or spec.origin is None:
        return
    import thriftpy2

    thriftpy2.load(str(Path(spec.origin).with_name("Hbase.thrift")), "Hbase_thrift")
    sys.modules.setdefault(_LOADER, ModuleType(_LOADER))


load()
