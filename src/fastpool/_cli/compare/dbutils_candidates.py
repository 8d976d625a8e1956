"""DBUtils' PooledDB and the drop-in for it, each on the same stubs: ``pool.connection().close()``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from .candidates import Address, Candidate, connect_and_close, dbutils_pooled_db
from .ratios import Cycles
from .stubs import DbApi


@contextmanager
def _drop_in(size: int, address: Address | None) -> Iterator[Cycles]:
    module = import_module("fastpool.adapters.dbutils")
    with module.PooledDB(DbApi, maxconnections=size, maxcached=size, blocking=True) as pool:
        with connect_and_close(pool) as cycles:
            yield cycles


PAIR = (
    Candidate("fastpool.adapters.dbutils", "fastpool", "fastpool._core", _drop_in),
    Candidate("DBUtils PooledDB", "DBUtils", "dbutils", dbutils_pooled_db),
)
"""(ours, theirs)."""
