"""The time of one checkout + checkin."""

from __future__ import annotations

import socket
from typing import Any

import pytest

import fastpool
from fastpool._cli.compare.candidates import Candidate, fastpool_pool, with_connection
from fastpool._cli.compare.questions import nested_cycles, opened
from fastpool._cli.compare.ratios import Cycles
from fastpool._cli.compare.threads import run_in_threads

CYCLES = 1000
"""In each timed round, so that a figure is that of a thousand cycles: µs read as ns."""


def measured(benchmark: Any, group: str, cycles: Cycles) -> None:
    benchmark.group = f"{group} ({CYCLES:,} cycles a round)"
    benchmark.pedantic(cycles, args=(CYCLES,), rounds=100, warmup_rounds=2)


def test_alone(benchmark: Any, candidate: Candidate, server: Any) -> None:
    with candidate.build(8, (server.host, server.port)) as cycles:
        measured(benchmark, "checkout + checkin, nobody else about", cycles)


def test_nested(benchmark: Any, thrift_candidate: Candidate, server: Any) -> None:
    with opened(thrift_candidate, server, 8) as pool:
        measured(benchmark, "nested checkout + checkin", nested_cycles(pool))


def test_contended(benchmark: Any, candidate: Candidate, server: Any) -> None:
    if not candidate.blocks:
        pytest.skip(f"{candidate.name} raises where others wait")
    with candidate.build(2, (server.host, server.port)) as cycles, run_in_threads(cycles, 4) as together:
        measured(benchmark, "4 threads on 2 connections", together)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"timing": True},
        {"listeners": [{"checked_out": lambda event: None}]},
        {"max_uses": 10**9},
        {"max_lifetime": 3600.0},
        {"size": 4096},
    ],
    ids=["none", "timing", "one listener", "max_uses", "max_lifetime", "4096 slots"],
)
def test_options(benchmark: Any, options: dict[str, Any]) -> None:
    with fastpool_pool(**{"size": 8, "address": None, **options}) as cycles:
        measured(benchmark, "options of fastpool.Pool", cycles)


def test_sockets(benchmark: Any) -> None:
    """With connections that have a descriptor, which is asked for at each checkin."""
    near, far = socket.socketpair()
    with far, fastpool.Pool(lambda: near, max_size=1) as pool, with_connection(pool) as cycles:
        measured(benchmark, "options of fastpool.Pool", cycles)
