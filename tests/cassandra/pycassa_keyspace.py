"""A keyspace on a real Cassandra for pycassa's pool, and operations on it."""

from __future__ import annotations

import time
from typing import Any

from fastpool.adapters.pycassa import ConnectionPool
from fastpool.adapters.pycassa import ttypes as t
from tools.cassandra.cluster import Cluster, Node

KEYSPACE = "Keyspace1"
ONE = t.ConsistencyLevel.ONE
ROWS = t.ColumnParent(column_family="Standard1")
COUNTERS = t.ColumnParent(column_family="Counter1")
ALL = t.SlicePredicate(slice_range=t.SliceRange(start=b"", finish=b"", reversed=False, count=100))


def address(node: Node) -> str:
    return f"{node.host}:{node.thrift_port}"


def column(value: bytes, name: bytes = b"c") -> Any:
    return t.Column(name=name, value=value, timestamp=time.time_ns() // 1000)


def insert(pool: ConnectionPool, key: bytes, value: bytes = b"v") -> None:
    pool.execute("insert", key, ROWS, column(value), ONE)


def value_of(pool: ConnectionPool, key: bytes) -> bytes:
    found = pool.execute("get", key, t.ColumnPath(column_family="Standard1", column=b"c"), ONE)
    value: bytes = found.column.value
    return value


def make_keyspace(cluster: Cluster, replicas: int = 1, **credentials: Any) -> None:
    """Make the keyspace, if it is not there, on all nodes."""
    with ConnectionPool("system", [address(cluster.nodes[0])], pool_size=1, timeout=60, **credentials) as pool:
        if any(keyspace.name == KEYSPACE for keyspace in pool.execute("describe_keyspaces")):
            return
        families = [
            t.CfDef(keyspace=KEYSPACE, name="Standard1", comparator_type="BytesType"),
            t.CfDef(
                keyspace=KEYSPACE,
                name="Counter1",
                comparator_type="BytesType",
                default_validation_class="CounterColumnType",
            ),
        ]
        strategy = {"strategy_class": "SimpleStrategy", "strategy_options": {"replication_factor": str(replicas)}}
        pool.execute("system_add_keyspace", t.KsDef(name=KEYSPACE, cf_defs=families, **strategy))
        deadline = time.monotonic() + 60
        while len(pool.execute("describe_schema_versions")) > 1 and time.monotonic() < deadline:
            time.sleep(0.1)
