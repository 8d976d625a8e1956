"""Tasks of Dask, Ray and PySpark: one pool for each worker process, the machine's cap, and workers that are killed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastpool
from tests.process._scripts import ROOT, run
from tests.shared._party import CountingServer, wait_until

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.timeout(200),
    pytest.mark.skipif(sys.platform != "linux", reason="locks of open files are Linux's"),
]
NAME, CAP, TASKS = "shop", 5, 200  # as in _shop.py, which needs the server's port


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    counting = CountingServer()
    (tmp_path / "pages").mkdir(mode=0o700)
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(tmp_path / "pages"))
    monkeypatch.setenv("FASTPOOL_TEST_PORT", str(counting.port))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        yield counting
    finally:
        counting.close()


@pytest.mark.parametrize("framework", ["dask", "ray", "pyspark"])
def test_one_pool_for_each_worker_and_one_cap_for_all(framework: str, server: CountingServer, tmp_path: Path) -> None:
    needed = {"dask": "distributed"}.get(framework, framework)
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    if framework == "pyspark" and shutil.which("java") is None:
        pytest.skip("there is no Java")
    program = f"""
        import json, sys
        from tests.distributed._{framework} import main
        if __name__ == "__main__":
            print("\\n" + json.dumps(main(sys.argv[1])))
    """
    found = json.loads(run(program, str(tmp_path), seconds=180).splitlines()[-1])
    for kind, answers in found.items():
        assert [one["number"] for one in answers] == list(range(TASKS)), kind
        assert all(one["got"] == [one["number"] % 256] for one in answers), f"{kind}: an answer of another task's"
        pools = {(one["pid"], one["pool"]) for one in answers}
        assert len(pools) == len({pid for pid, _ in pools}) > 1, f"{kind}: one pool for each worker process"
    assert (tmp_path / "died").exists() and 1 < server.most <= CAP
    wait_until(lambda: fastpool.shared_stats(NAME) == [])
    assert server.open == 0
