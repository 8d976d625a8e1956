"""happybase's own test suite, unchanged, with fastpool's pool in the place of happybase's, against a real HBase."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adapters import upstream
from tools.hbase.cluster import Gateway


@pytest.mark.parametrize("codec", ["on", "off", "refuse"])
def test_on_hbase_s_defaults(gateway_of: Callable[..., Gateway], tmp_path: Path, codec: str) -> None:
    gateway = gateway_of()
    outcome = upstream.run(tmp_path, gateway.host, gateway.port, pool="fastpool", codec=codec)
    assert outcome.failed == [], outcome.output
    assert len(outcome.passed) == upstream.TESTS


@pytest.mark.parametrize("codec", ["on", "off", "refuse"])
def test_framed_and_compact(gateway_of: Callable[..., Gateway], tmp_path: Path, codec: str) -> None:
    gateway = gateway_of(framed=True, compact=True)
    outcome = upstream.run(
        tmp_path, gateway.host, gateway.port, pool="fastpool", transport="framed", protocol="compact", codec=codec
    )
    assert outcome.failed == [], outcome.output
    assert len(outcome.passed) == upstream.TESTS


def test_the_pool_s_tests_again_and_again(gateway_of: Callable[..., Gateway], tmp_path: Path) -> None:
    """These tests have a random part: a quarter of the blocks break their connection."""
    gateway = gateway_of()
    turns = 5
    outcome = upstream.run(tmp_path, gateway.host, gateway.port, pool="fastpool", pool_tests=turns)
    assert outcome.failed == [], outcome.output
    assert len(outcome.passed) == turns * len(upstream.POOL_TESTS)
