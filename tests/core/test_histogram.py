"""Histograms of durations: every value is between its bucket's edges, a quarter of a power of two apart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from fastpool._core import histogram_edges
from tests.core.native import probe

parts = probe()
EDGES = parts.edges()
LAST = len(EDGES) - 1


@given(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 64).map(lambda n: 2**n - 1), st.integers(0, 1000)))
@example(0)
@example(3)
@example(4)
@example(2**32 - 1)
@example(2**32)
@example(2**63)
@example(2**64 - 1)
def test_a_value_is_between_the_edges_of_its_bucket(ns: int) -> None:
    bucket = parts.bucket_of(ns)
    assert 0 <= bucket <= LAST
    assert EDGES[bucket] <= ns
    assert bucket == LAST or ns < EDGES[bucket + 1]


def test_edges_grow_and_a_bucket_is_at_most_a_quarter_wide() -> None:
    assert EDGES[:6] == [0, 1, 2, 3, 4, 5]
    assert all(a < b for a, b in pairwise(EDGES))
    assert all((b - a) * 4 <= a for a, b in pairwise(EDGES[4:]))
    assert all(parts.bucket_of(edge) == bucket for bucket, edge in enumerate(EDGES))


def test_the_core_reports_the_same_edges() -> None:
    assert histogram_edges() == EDGES


@given(st.lists(st.integers(-5, 2**40)))
def test_count_sum_and_greatest(values: list[int]) -> None:
    one = parts.Durations()
    for ns in values:
        one.add(ns)
    count, total, greatest, buckets = one.read()
    real = [max(ns, 0) for ns in values]  # a clock that went back is no duration
    assert (count, total, greatest) == (len(real), sum(real), max(real, default=0))
    assert sum(buckets) == count
    assert all(buckets[parts.bucket_of(ns)] for ns in real)


def test_nothing_is_lost_between_threads() -> None:
    one = parts.Durations()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda ns: one.add_many(ns, 50_000), [10, 10, 1000, 70_000]))
    count, total, greatest, buckets = one.read()
    assert (count, total, greatest) == (200_000, 50_000 * (10 + 10 + 1000 + 70_000), 70_000)
    assert [n for n in buckets if n] == [100_000, 50_000, 50_000]
