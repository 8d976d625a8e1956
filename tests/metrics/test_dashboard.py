"""The dashboard is one that Grafana's own model of dashboards can read, all of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.shared._party import ROOT

BOARD = ROOT / "docs" / "monitoring" / "dashboard.json"
pytestmark = pytest.mark.skipif(not BOARD.is_file(), reason="the tests run without the checkout around them")


def unread(given: Any, understood: Any, at: str = "") -> list[str]:
    """The places of `given` that `understood` lacks or has otherwise."""
    if isinstance(given, dict) and isinstance(understood, dict):
        return [found for key in given for found in unread(given[key], understood.get(key, "nothing"), f"{at}.{key}")]
    if isinstance(given, list) and isinstance(understood, list) and len(given) == len(understood):
        return [
            found for n, pair in enumerate(zip(given, understood, strict=True)) for found in unread(*pair, f"{at}[{n}]")
        ]
    return [] if given == understood else [f"{at}: {given!r} became {understood!r}"]


def in_grafanas_model(board: dict[str, Any]) -> Any:
    pytest.importorskip("grafana_foundation_sdk")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    return json.loads(JSONEncoder().encode(Dashboard.from_json(board)))


def test_grafana_understands_every_field() -> None:
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    assert unread(board, in_grafanas_model(board)) == []


def test_a_field_that_grafana_does_not_know_is_seen() -> None:
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    board["panels"][0]["feildConfig"] = {}
    board["panels"][1]["targets"][0]["exprr"] = "up"
    found = unread(board, in_grafanas_model(board))
    assert [line.split(":")[0] for line in found] == [".panels[0].feildConfig", ".panels[1].targets[0].exprr"]
