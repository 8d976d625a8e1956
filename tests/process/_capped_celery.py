"""Celery around a pool with a shared cap: a worker of eight processes. There is no broker: messages are files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import celery

folder = Path(os.environ["FASTPOOL_TEST_FOLDER"])
for name in ("messages", "results", "control"):
    (folder / name).mkdir(exist_ok=True)
app = celery.Celery("capped", broker="filesystem://", backend=(folder / "results").as_uri(), set_as_current=False)
app.conf.worker_prefetch_multiplier = 1
app.conf.broker_transport_options = {
    "data_folder_in": str(folder / "messages"),
    "data_folder_out": str(folder / "messages"),
    "control_folder": str(folder / "control"),
    "polling_interval": 0.01,
}
if os.environ.get("FASTPOOL_TEST_WORKER"):  # the sender has no pool
    from . import _capped_app


@app.task(name="work")
def work(seconds: float) -> dict[str, Any]:
    return _capped_app.work(seconds, threads=4)


@app.task(name="hold")
def hold(seconds: float) -> dict[str, Any]:
    return _capped_app.hold(seconds)
