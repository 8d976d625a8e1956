"""A real Prometheus scrapes the collectors, evaluates the dashboard's expressions, and accepts the alert rules."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, start_http_server

import fastpool
from fastpool.metrics.prometheus import PoolCollector, SharedCollector
from tests.pool.real_servers import free_port, leashed, program
from tests.shared._party import ROOT, Party, wait_until

from .connections import Plain

PAGES = ROOT / "docs" / "monitoring"
CONFIG = """
global: {{scrape_interval: 200ms, evaluation_interval: 200ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: fastpool
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Prometheus:
    """A running Prometheus, and the registry that it scrapes."""

    def __init__(self, address: str, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._url = f"http://{address}/api/v1/"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an expression; AssertionError if it is refused."""
        found = self.get(f"query?{urllib.parse.urlencode({'query': expression})}")
        return list(found["result"])

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self._url + path, timeout=20) as reply:
            told = json.load(reply)
        assert told["status"] == "success", told
        return dict(told["data"])

    def value(self, expression: str) -> float | None:
        """The only sample of an expression; None: there is none yet."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    path, registry, port = program("prometheus"), CollectorRegistry(), free_port()
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        config = tmp_path / "prometheus.yml"
        config.write_text(CONFIG.format(rules=PAGES / "alerts.yml", port=server.server_port))
        command = [path, f"--config.file={config}", f"--storage.tsdb.path={tmp_path}", "--log.level=warn"]
        ready = [program("promtool"), "query", "instant", f"http://127.0.0.1:{port}", "1"]
        with leashed([*command, f"--web.listen-address=127.0.0.1:{port}"], port, tmp_path, ready) as address:
            yield Prometheus(address, registry)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)


def expressions() -> list[str]:
    """All expressions of the dashboard, as Grafana sends them."""
    board = json.loads((PAGES / "dashboard.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return [one.replace("$pool", ".*").replace("$__rate_interval", "1m") for one in found]


def test_it_scrapes_the_pools_of_a_process_and_evaluates_the_dashboard(prometheus: Prometheus) -> None:
    with fastpool.Pool(Plain, name="scraped", max_size=3, timing=True) as pool:
        prometheus.registry.register(PoolCollector(pool))
        with pool.connection():
            wait_until(lambda: prometheus.value('fastpool_connections{pool="scraped", state="used"}') == 1)
        with pool.connection(), pool.connection(), pool.connection(), pytest.raises(fastpool.NoConnectionsAvailable):
            pool.checkout(timeout=0)
        wait_until(lambda: prometheus.value('fastpool_timeouts_total{pool="scraped"}') == 1)
        assert prometheus.value('fastpool_connections_max{pool="scraped"}') == 3
        wait_until(lambda: prometheus.query("rate(fastpool_use_seconds_bucket[1m])"))
        without = [one for one in expressions() if not prometheus.query(one)]
    assert len(expressions()) > 10 and [one for one in without if "pid" not in one] == []
    names = {row["name"] for group in prometheus.get("rules")["groups"] for row in group["rules"]}
    assert {"FastpoolTimeouts", "FastpoolLeaks"} <= names


def test_one_process_exports_the_pools_of_all(
    prometheus: Prometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    party = Party(tmp_path / "pages")
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(party.folder))
    try:
        workers = [party.worker(shared_max=5, name="web") for _ in range(2)]
        for number, worker in enumerate(workers, 1):
            worker.do("take(); " * number)
        prometheus.registry.register(SharedCollector("tested"))
        used = 'fastpool_connections{pool="web", state="used"}'
        wait_until(lambda: prometheus.value(f"sum({used})") == 3)
        told = {row["metric"]["pid"]: float(row["value"][1]) for row in prometheus.query(used)}
        assert told == {str(worker.pid): number for number, worker in enumerate(workers, 1)}
        assert len(prometheus.query(next(one for one in expressions() if "pid" in one))) == 2
        workers[1].kill()
        wait_until(lambda: len(prometheus.query(used)) == 1)
    finally:
        party.close()


def test_promtool_accepts_the_alert_rules_and_they_fire(tmp_path: Path) -> None:
    path = program("promtool")
    done = subprocess.run([path, "check", "rules", PAGES / "alerts.yml"], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = tmp_path / "cases.yml"
    cases.write_text(CASES.format(rules=PAGES / "alerts.yml"))
    done = subprocess.run([path, "test", "rules", cases], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr


# A pool in which callers time out and wait, and one in which nothing is wrong.
CASES = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {{series: 'fastpool_timeouts_total{{pool="bad", pid="1"}}', values: '0+60x20'}}
      - {{series: 'fastpool_pending_requests{{pool="bad", pid="1"}}', values: '3x20'}}
      - {{series: 'fastpool_connections{{pool="bad", pid="1", state="idle"}}', values: '0x20'}}
      - {{series: 'fastpool_timeouts_total{{pool="good", pid="2"}}', values: '7x20'}}
      - {{series: 'fastpool_pending_requests{{pool="good", pid="2"}}', values: '3x20'}}
      - {{series: 'fastpool_connections{{pool="good", pid="2", state="idle"}}', values: '2x20'}}
    promql_expr_test:
      - expr: ALERTS{{alertstate="firing"}}
        eval_time: 15m
        exp_samples:
          - labels: ALERTS{{alertname="FastpoolTimeouts", alertstate="firing", pool="bad", severity="critical"}}
            value: 1
          - labels: ALERTS{{alertname="FastpoolWaiting", alertstate="firing", pool="bad", severity="warning"}}
            value: 1
"""
