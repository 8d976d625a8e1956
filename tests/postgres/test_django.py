"""Django's backend for PostgreSQL, pooled by fastpool, under threads and under gevent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("django", minversion="5.1", reason="needs Django 5.1 or newer (extra: hosts)")

CASE = Path(__file__).with_name("_django_case.py")


@pytest.mark.parametrize("model", ["threads", "gevent"])
def test_requests_share_the_pool(server: Any, model: str) -> None:
    if model == "gevent":
        pytest.importorskip("gevent")
    command = [sys.executable, str(CASE), str(server.port), model]
    done = subprocess.run(command, capture_output=True, text=True, timeout=58, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["errors"] == []
    assert said["requests"] == 64
    assert 1 < said["backends"] <= 4
    assert said["rolled_back"]
    assert said["timezone"] == "Asia/Tokyo", "the pool configures each connection as Django does"
    assert said["survives"], "a dead connection is not handed to a request"
    assert said["in_child"]
    assert said["vendor"] == "postgresql"
    assert said["pool"] == ["django-default", 4, "fastpool.adapters.psycopg.pool"]
    assert said["leased"] == 0, "each request has returned its connection"


SETTINGS = """
import django, json, sys
from django.conf import settings
cases = json.loads(sys.argv[1])
basis = {"ENGINE": "fastpool.adapters.django.postgresql", "NAME": "postgres", "OPTIONS": {}}
databases = {f"case{number}": {**basis, **change} for number, change in enumerate(cases)}
settings.configure(DATABASES={"default": basis, **databases})
django.setup()
from django.db import connections
for alias in databases:
    try:
        pool = connections[alias].pool
        print(pool and [pool.name, pool.min_size, pool.max_size, pool.closed, pool.config.check_after])
    except Exception as error:
        print(type(error).__name__, error)
"""

CASES: list[tuple[dict[str, Any], str]] = [
    ({}, "['django-case0', 4, 4, True, 0.05]"),
    ({"OPTIONS": {"pool": True}}, "['django-case1', 4, 4, True, 0.05]"),
    ({"OPTIONS": {"pool": False}}, "None"),
    ({"OPTIONS": {"pool": {"name": "mine", "max_size": 9, "check_after": 3}}}, "['mine', 4, 9, True, 3.0]"),
    ({"CONN_HEALTH_CHECKS": True}, "['django-case4', 4, 4, True, 0.0]"),
    ({"CONN_HEALTH_CHECKS": True, "OPTIONS": {"pool": {"check_after": 2}}}, "['django-case5', 4, 4, True, 2.0]"),
    ({"CONN_MAX_AGE": 60}, "ImproperlyConfigured DATABASES['case6']: CONN_MAX_AGE must be 0"),
    ({"OPTIONS": {"pool": 4}}, "ImproperlyConfigured DATABASES['case7']: OPTIONS[\"pool\"] must be True"),
    ({"OPTIONS": {"pool": {"max_sise": 4}}}, "TypeError unknown option 'max_sise'; did you mean 'max_size'?"),
]


def test_settings() -> None:
    command = [sys.executable, "-c", SETTINGS, json.dumps([change for change, _ in CASES])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=58, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(CASES)
    for line, (change, said) in zip(lines, CASES, strict=True):
        assert line.startswith(said), change
