"""Reports of a pool: histograms, snapshots, and the readable message of an exhausted pool."""

import dataclasses
import pickle
import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpool import LeaseInfo, NoConnectionsAvailable
from fastpool._telemetry.holder import lease_info
from fastpool._telemetry.stats import (
    CLOSE_REASONS,
    Histogram,
    Stats,
    describe_holders,
    duration_text,
    error_text,
    explain,
)


def core_edges():
    """The edges of the core's buckets: one each for 0 to 3 ns, then four per power of two."""
    return [0, 1, 2, 3] + [(4 + (i & 3)) << (i >> 2) for i in range(62 * 4)]


def histogram_of(durations_ns):
    edges = core_edges()
    counts = [0] * len(edges)
    for duration in durations_ns:
        counts[max(i for i, edge in enumerate(edges) if edge <= duration)] += 1
    return Histogram.from_core(len(durations_ns), sum(durations_ns), max(durations_ns, default=0), counts, edges)


def test_an_empty_histogram():
    histogram = histogram_of([])
    assert (histogram.count, histogram.sum_s, histogram.max_s, histogram.mean_s) == (0, 0.0, 0.0, 0.0)
    assert histogram.buckets == ()
    assert histogram.percentile(50) == 0.0
    assert histogram == Histogram()
    assert repr(histogram) == "<Histogram: nothing counted>"


def test_a_histogram_of_one():
    histogram = histogram_of([1_000_000])
    assert (histogram.count, histogram.sum_s, histogram.max_s, histogram.mean_s) == (1, 0.001, 0.001, 0.001)
    [(edge, n)] = histogram.buckets
    assert n == 1
    assert 0.001 < edge <= 0.00125
    assert histogram.percentile(100) == 0.001
    assert 0.0008 <= histogram.percentile(0) <= histogram.percentile(50) <= 0.001
    assert repr(histogram) == "<Histogram: 1 × mean 1 ms, p50 959 µs, p99 999 µs, max 1 ms>"


def test_buckets_are_those_that_are_not_empty_ascending_and_not_cumulative():
    histogram = histogram_of([1, 1, 5, 1000])
    assert [n for _, n in histogram.buckets] == [2, 1, 1]
    assert [edge for edge, _ in histogram.buckets] == [2e-9, 6e-9, 1024e-9]


def test_percentiles_interpolate_inside_the_bucket():
    counts, edges = [0, 100, 0], [0, 1_000_000_000, 2_000_000_000, 4_000_000_000]
    histogram = Histogram.from_core(100, 150 * 10**9, 1_999_999_999, counts, edges)
    assert histogram.percentile(0) == 1.0
    assert histogram.percentile(50) == pytest.approx(1.5)
    assert histogram.percentile(25) == pytest.approx(1.25)
    assert histogram.percentile(100) == 1.999999999


def test_a_percentile_never_exceeds_the_maximum_even_if_that_is_read_too_early():
    edges = [0, 10, 20, 40]
    behind = Histogram.from_core(3, 60, 5, [1, 1, 1], edges)
    assert all(behind.percentile(q) <= 5e-9 for q in range(101))


@pytest.mark.parametrize("edges", [[0, 10], [0, 10, 20]])
def test_the_last_bucket_may_be_open(edges):
    histogram = Histogram.from_core(2, 24, 15, [1, 1], edges)
    assert [n for _, n in histogram.buckets] == [1, 1]
    assert histogram.buckets[-1][0] > 15e-9
    assert histogram.percentile(99) <= 15e-9


def test_counts_and_edges_have_to_fit():
    with pytest.raises(ValueError, match="3 counts need 3 or 4 edges, not 2"):
        Histogram.from_core(0, 0, 0, [0, 0, 0], [0, 1])


@pytest.mark.parametrize("q", [-1, 100.001, float("nan")])
def test_a_percentile_out_of_range(q):
    with pytest.raises(ValueError, match=r"q must be from 0 to 100, not "):
        histogram_of([1]).percentile(q)


@pytest.mark.parametrize("q", ["50", None, True, [50]])
def test_a_percentile_of_a_wrong_type(q):
    with pytest.raises(TypeError, match=r"q must be a number from 0 to 100, not "):
        histogram_of([1]).percentile(q)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=60), st.lists(st.floats(0, 100), max_size=10))
def test_percentiles_are_near_the_true_ones_and_ascend(durations, qs):
    histogram = histogram_of(durations)
    ordered = sorted(durations)
    previous = 0.0
    for q in sorted(qs):
        value = histogram.percentile(q)
        assert previous <= value <= histogram.max_s
        previous = value
        rank = q / 100 * len(ordered)
        low, high = ordered[max(int(rank) - 1, 0)], ordered[min(int(rank) + 1, len(ordered) - 1)]
        assert low * 0.79e-9 - 1e-9 <= value <= high * 1.26e-9 + 1e-9


def test_the_median_of_many_is_right_to_ten_per_cent():
    rng = random.Random(7)
    durations = [int(rng.lognormvariate(13, 1)) for _ in range(2000)]
    for q in (10, 50, 90, 99):
        true = sorted(durations)[int(len(durations) * q / 100)] / 1e9
        assert histogram_of(durations).percentile(q) == pytest.approx(true, rel=0.1)


def some_stats(**fields):
    sizes = {"max_size": 8, "min_size": 0, "size": 8, "idle": 0, "leased": 8, "connecting": 0, "waiting": 3}
    return Stats(name="users", **(sizes | fields))


def test_stats_have_the_fields_that_are_promised_and_are_frozen():
    promised = "name max_size min_size size idle leased connecting waiting checkouts checkins waits timeouts rejected "
    promised += "cancelled connects connect_errors leaks closed wait connect hold"
    assert [f.name for f in dataclasses.fields(Stats)] == promised.split()
    stats = some_stats()
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.idle = 3
    assert set(stats.closed) == set(CLOSE_REASONS)
    assert some_stats() == some_stats()
    assert hash(some_stats()) == hash(some_stats())
    assert dataclasses.asdict(stats)["closed"]["dead"] == 0


def test_what_an_error_says_of_the_pool_is_pickled_with_it():
    error = NoConnectionsAvailable("none")
    error.stats, error.waited, error.phase = some_stats(wait=histogram_of([5, 7])), 0.5, "wait"
    error.holders = (lease_info(0, None, threading.get_ident()),)
    there = pickle.loads(pickle.dumps(error))
    assert (type(there), str(there), there.phase, there.waited) == (NoConnectionsAvailable, "none", "wait", 0.5)
    assert (there.stats, there.holders) == (error.stats, error.holders)
    assert there.stats.wait.percentile(50) == error.stats.wait.percentile(50)


def test_the_reasons_are_those_that_are_promised():
    promised = "lifetime idle max_uses max_idle overflow dead desync error discarded cleared resized closed"
    assert list(CLOSE_REASONS) == promised.split()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ns"),
        (3.5e-7, "350 ns"),
        (2e-6, "2 µs"),
        (0.00125, "1.25 ms"),
        (0.35, "350 ms"),
        (12.34, "12.3 s"),
        (1234.5, "1234 s"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_as_people_read_them(seconds, text):
    assert duration_text(seconds) == text


def holder(slot, age_s, **fields):
    return LeaseInfo(
        **({"server": None, "owner": f"thread 'worker-{slot}'", "thread": "t", "depth": 1} | fields),
        slot=slot,
        age_s=age_s,
    )


def test_holders_are_described_the_oldest_first():
    lines = describe_holders([holder(1, 0.5), holder(2, 90, depth=3), holder(3, 4, server=("::1", 9090))])
    assert lines == [
        "slot 2: held for 90 s by thread 'worker-2', 3 blocks deep",
        "slot 3 to [::1]:9090: held for 4 s by thread 'worker-3'",
        "slot 1: held for 500 ms by thread 'worker-1'",
    ]


def test_many_holders_are_cut_short():
    lines = describe_holders([holder(i, i + 1) for i in range(30)], limit=4)
    assert len(lines) == 5
    assert lines[0].startswith("slot 29: held for 30 s")
    assert lines[-1] == "… and 26 more"


def test_an_exhausted_pool_explains_itself():
    error = ConnectionRefusedError(111, "Connection refused")
    text = explain(some_stats(), [holder(0, 12.34)], 30.0, "wait", error)
    assert text.splitlines() == [
        "pool 'users' had no connection to give within 30 s (in line)",
        "  8 open of at most 8: 8 leased, 0 idle; 0 connecting; 3 waiting",
        "  slot 0: held for 12.3 s by thread 'worker-0'",
        "  last failed connect: ConnectionRefusedError: [Errno 111] Connection refused",
        "Hold connections for shorter, raise max_size, or give the checkout a longer timeout.",
    ]


@pytest.mark.parametrize(("phase", "advice"), [("connect", "reachable"), ("check", "connections die")])
def test_the_advice_fits_the_phase(phase, advice):
    lines = explain(some_stats(leased=0, size=0), [], 1.0, phase).splitlines()
    assert len(lines) == 3
    assert advice in lines[-1]


def test_a_headline_and_an_advice_of_its_own():
    lines = explain(some_stats(), [], 0.0, "wait", headline="No connection", advice="Do this.").splitlines()
    assert (lines[0], lines[-1]) == ("No connection", "Do this.")


def test_an_error_in_one_line():
    assert error_text(ValueError("a\n  b")) == "ValueError: a b"
    assert error_text(TimeoutError()) == "TimeoutError"
