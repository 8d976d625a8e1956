"""Dask's distributed scheduler around one pool: `main(folder)` prints what its tasks returned."""

from __future__ import annotations

import json

import dask
import psutil
from distributed import Client, LocalCluster

from . import _pickled_pools as way


def main(folder: str) -> None:
    """Run tasks that have the pool in their closure, and tasks that are given it, in two processes."""
    pool = way.make(name="sent by dask")
    way.use(pool)
    # No dashboard, and no look at the disk, the network or newer versions: the test is about pickling.
    dask.config.set({"temporary-directory": folder, "distributed.diagnostics.nvml": False})
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=2, host="127.0.0.1", dashboard_address=None, local_directory=folder
        ) as cluster,
        Client(cluster) as client,
    ):
        processes = [child.pid for child in psutil.Process().children(recursive=True)]
        captured = client.gather(client.map(way.through(pool), range(60), pure=False))
        given = client.gather([client.submit(way.use, pool, n, pure=False) for n in range(20)])
    here = way.use(pool)
    pool.close()
    print(json.dumps({"captured": captured, "given": given, "here": here, "processes": processes}))
