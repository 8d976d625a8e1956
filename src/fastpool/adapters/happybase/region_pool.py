"""A pool in front of several gateways, which gives a row's caller the gateway beside the row.

::

    pool = RegionPool(8, gateways=[("hbase-1", 9090), ("hbase-2", 9090), ("hbase-3", 9090)], timeout=5000)
    with pool.table("users", b"ann") as table:
        table.row(b"ann")
"""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Coroutine
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Unpack

import happybase

from ..._connecting.without_traceback import without_traceback
from ..._core import deadline_after
from ..._errors import LeaseError
from ..._pool import Pool
from ..._servers import Server, normalise_server
from ..._telemetry.events import Listeners
from .._thrift.arguments import checked_size, options_among
from .gateway_choice import Choice, Tries, shares
from .gateway_figures import add_counts, add_histograms
from .gateway_pools import RegionDriver, heard_by_line, of_line, pool_of
from .region_lease import AsyncRegionLease, Permit, RegionLease, Wanted
from .region_look import ask, do, look_ahead, look_ahead_awaiting
from .regions import Regions

if TYPE_CHECKING:
    from ..._config import Config
    from ..._options import PoolSizes
    from .options import RegionPoolOptions
    from .pool import ConnectionPool, TableBlock
