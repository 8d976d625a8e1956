"""Ray's scheduler and four worker processes: `main(folder)` runs the tasks."""

from __future__ import annotations

import os
from typing import Any

import ray

from . import _shop


def main(folder: str) -> dict[str, list[dict[str, Any]]]:
    """Run the tasks with the module's pool, with a captured one, and with a worker that is killed."""
    ray.init(
        num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=100_000_000,
        _node_ip_address="127.0.0.1", _temp_dir=f"/tmp/ray-{os.getpid()}",
    )  # fmt: skip
    try:
        module = ray.remote(max_retries=5)(_shop.task)
        captured = ray.remote(max_retries=5)(_shop.captured(_shop.pool))
        dying = ray.remote(max_retries=5)(_shop.dying)
        numbers = range(_shop.TASKS)
        return {
            "module": ray.get([module.remote(number) for number in numbers]),
            "captured": ray.get([captured.remote(number) for number in numbers]),
            "killed": ray.get([dying.remote(number, _shop.flag_in(folder)) for number in numbers]),
        }
    finally:
        ray.shutdown()
