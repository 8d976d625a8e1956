"""PySpark with four Python workers: `main(folder)` runs the tasks."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from . import _shop


def main(folder: str) -> dict[str, list[dict[str, Any]]]:
    """Run the tasks with the module's pool, with a captured one, and with a worker that is killed."""
    flag, captured = _shop.flag_in(folder), _shop.captured(_shop.pool)
    builder = SparkSession.builder.master("local[4,8]")  # four at once, and eight attempts of each
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.local.dir": folder,
        "spark.sql.warehouse.dir": folder,
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        numbers = session.sparkContext.parallelize(range(_shop.TASKS), 20)
        return {
            "module": numbers.map(_shop.task).collect(),
            "captured": numbers.map(captured).collect(),
            "killed": numbers.map(lambda number: _shop.dying(number, flag)).collect(),
        }
    finally:
        session.stop()
