"""Cassandra's Thrift service, loaded from the interface description beside this file."""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import thriftpy2

types: ModuleType = thriftpy2.load(str(Path(__file__).with_name("cassandra.thrift")), "fastpool_cassandra_thrift")
service: Any = vars(types)["Cassandra"]
