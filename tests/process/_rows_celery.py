"""Celery around one pool: a worker of several processes, and `main()`, which sends it tasks and prints the answers.

There is no broker: messages and results are files in FASTPOOL_TEST_FOLDER.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import celery

from ._rows import ROWS

folder = Path(os.environ["FASTPOOL_TEST_FOLDER"])
for name in ("messages", "results", "control"):
    (folder / name).mkdir(exist_ok=True)
app = celery.Celery("rows", broker="filesystem://", backend=(folder / "results").as_uri(), set_as_current=False)
app.conf.broker_transport_options = {
    "data_folder_in": str(folder / "messages"),
    "data_folder_out": str(folder / "messages"),
    "control_folder": str(folder / "control"),
    "polling_interval": 0.01,
}
if os.environ.get("FASTPOOL_TEST_WORKER"):  # the sender has no pool
    from . import _rows_app


@app.task(name="row")
def row(number: int) -> dict[str, Any]:
    return _rows_app.ask(number)


def main() -> None:
    """Start a worker, have it read every row, and stop it."""
    options = ["--pool", "prefork", "--concurrency", "3", "--max-tasks-per-child", "10", "--loglevel", "WARNING"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", __name__, "worker", *options, *quiet],
        env={**os.environ, "FASTPOOL_TEST_WORKER": "1"},
        stdout=sys.stderr,
    )
    try:
        waiting = [row.delay(number) for number in range(ROWS)]
        answers = [one.get(timeout=30, interval=0.02) for one in waiting]
    finally:
        worker.terminate()
        try:
            worker.wait(10)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait(10)
    print(json.dumps(answers))
