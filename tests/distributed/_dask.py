"""Dask's scheduler and four worker processes of four threads: `main(folder)` runs the tasks."""

from __future__ import annotations

from typing import Any

import dask
from distributed import Client, LocalCluster

from . import _shop


def main(folder: str) -> dict[str, list[dict[str, Any]]]:
    """Run the tasks with the module's pool, with a captured one, and with a worker that is killed."""
    dask.config.set({"temporary-directory": folder, "distributed.diagnostics.nvml": False})
    dask.config.set({"distributed.scheduler.allowed-failures": 20})  # those beside a killed one failed, too
    with (
        LocalCluster(
            n_workers=4, threads_per_worker=4, host="127.0.0.1", dashboard_address=None, local_directory=folder
        ) as cluster,
        Client(cluster) as client,
    ):
        numbers = range(_shop.TASKS)
        return {
            "module": client.gather(client.map(_shop.task, numbers, pure=False)),
            "captured": client.gather(client.map(_shop.captured(_shop.pool), numbers, pure=False)),
            "killed": client.gather(client.map(_shop.dying, numbers, flag=_shop.flag_in(folder), pure=False)),
        }
