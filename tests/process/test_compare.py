"""The measuring code: made-up clocks and pools, so that the right results are known."""

import contextlib
import gc
import importlib.util
import threading
import time

import pytest

import fastpool
from fastpool._cli.compare import concurrency, crowd, floor, green_candidates, load, plot, scale, tables
from fastpool._cli.compare.candidates import CONNECTION_POOL, FLOOR, HAPPYBASE, POOL, STUBBED, Candidate
from fastpool._cli.compare.findings import Finding, Target, report
from fastpool._cli.compare.questions import _CHEAPER, QUESTIONS
from fastpool._cli.compare.ratios import Effort, interleaved, timed
from fastpool._cli.compare.threads import in_a_thread_of_its_own, run_in_threads


class Clock:
    """A clock that only moves when a side works."""

    def __init__(self):
        self.now = 0
        self.speed = 1.0
        self.order = []

    def __call__(self):
        return int(self.now)

    def side(self, name, ns):
        def cycles(n):
            self.order.append(name)
            self.now += n * ns * self.speed

        return cycles


def test_the_ratio_is_theirs_over_ours():
    clock = Clock()
    found = interleaved(clock.side("a", 100), clock.side("b", 2500), rounds=8, cycles=1000, clock=clock)
    assert (found.times, found.low, found.high) == (25, 25, 25)
    assert (found.ours_ns, found.theirs_ns, found.rounds) == (100, 2500, 8)


def test_both_sides_take_turns_and_take_turns_at_beginning():
    clock = Clock()
    interleaved(clock.side("a", 100), clock.side("b", 100), rounds=4, cycles=1000, clock=clock)
    assert "".join(clock.order[-8:]) == "abbaabba"


def test_a_machine_that_changes_its_speed_does_not_change_the_ratio():
    clock = Clock()
    slow_from = 60

    def theirs(n):
        clock.speed = 3.0 if len(clock.order) > slow_from else 1.0
        clock.side("b", 500)(n)

    def ours(n):
        clock.speed = 3.0 if len(clock.order) > slow_from else 1.0
        clock.side("a", 100)(n)

    found = interleaved(ours, theirs, rounds=50, cycles=1000, clock=clock)
    assert found.times == pytest.approx(5)
    assert found.ours_ns in (100, 300)


def test_fewer_than_two_rounds_are_refused():
    with pytest.raises(ValueError, match="'rounds' must be at least 2, not 1"):
        interleaved(lambda n: None, lambda n: None, rounds=1)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_while_a_side_is_timed(enabled):
    seen = []
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        timed(lambda n: seen.append(gc.isenabled()), 1, Clock())
        assert seen == [False]
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_threads_share_the_work():
    done = []
    with run_in_threads(done.append, 4) as together:
        together(100)
        together(40)
    assert done == [25] * 4 + [10] * 4


def test_what_a_thread_raises_is_raised_to_the_caller():
    def fail(n):
        raise LookupError("in a thread")

    with pytest.raises(LookupError, match="in a thread"), run_in_threads(fail, 2) as together:
        together(10)
    with pytest.raises(LookupError, match="in a thread"):
        in_a_thread_of_its_own(lambda: fail(1))
    assert in_a_thread_of_its_own(threading.get_ident) != threading.get_ident()


class Unfair:
    """A pool of one connection that lets one thread in and keeps all others out until that thread has ended."""

    def __init__(self):
        self.chosen = None
        self.lock = threading.Lock()
        self.outside = threading.Semaphore(0)
        self.two_outside = False
        self.over = threading.Event()
        self.waits = []  # (asked, got) of those that were kept out

    def table(self, name):
        return self

    def row(self, row):
        if not self.two_outside:
            self.two_outside = self.outside.acquire(timeout=30) and self.outside.acquire(timeout=30)
        return {}

    @contextlib.contextmanager
    def connection(self):
        with self.lock:
            self.chosen = self.chosen or threading.current_thread()
        if threading.current_thread() is not self.chosen:
            asked = time.perf_counter()
            self.outside.release()
            while not self.over.wait(0.005):
                if not self.chosen.is_alive():
                    self.over.wait(0.3)  # longer than the run
                    break
            self.waits.append((asked, time.perf_counter()))
        yield self


def test_a_load_shows_starved_threads():
    pool = Unfair()
    seen = load.run(pool, threads=3, connections=1, seconds=0.3, every=0.05, tick=lambda n: n and pool.over.set())
    assert seen.operations == sum(seen.per_thread) > 0
    pool = Unfair()
    before = time.perf_counter()
    seen = load.run(pool, threads=3, connections=1, seconds=0.2)
    assert seen.fewest == 0
    assert sorted(seen.per_thread)[:2] == [0, 0]
    assert seen.longest_wait_s >= seen.seconds - (min(pool.waits)[0] - before), "to the end of the run"
    lasted = max(got - asked for asked, got in pool.waits)
    assert seen.longest_wait_s < lasted, "a wait counts no longer than the run saw it"
    assert seen.most_served_meanwhile >= seen.operations - 1, "all that the chosen one did, the others waited"


def test_a_load_raises_what_a_thread_raised():
    class Broken(Unfair):
        def row(self, row):
            raise ConnectionError("the server is gone")

    with pytest.raises(ConnectionError, match="the server is gone"):
        load.run(Broken(), threads=1, connections=1, seconds=30)


def test_the_ideal_wait_is_one_turn_of_all():
    seen = load.Load(64, 8, 2.0, (10,) * 64, longest_wait_s=0.048, mean_hold_s=0.004)
    assert seen.ideal_wait_s == pytest.approx(0.032)
    assert seen.waits_of_ideal == pytest.approx(1.5)
    assert (seen.ops_per_s, seen.fewest_of_mean) == (320, 1)


def test_findings_know_whether_they_reached_their_target():
    assert Finding("q", "w", value=1.3, target=Target(1.3, at_most=True)).verdict == "reached"
    assert Finding("q", "w", value=1.31, target=Target(1.3, at_most=True)).verdict == "missed"
    assert Finding("q", "w", value=25, target=Target(25)).verdict == "reached"
    assert Finding("q", "w", value=24.9, target=Target(25)).verdict == "missed"
    assert Finding("q", "w", value=1.0).verdict == ""
    assert Finding("q", "w", target=Target(1), missing="not installed").verdict == ""
    row = report({}, [Finding("q", "w", "b", 2.0, target=Target(3))])["findings"][0]
    assert (row["what"], row["base"], row["value"], row["target"], row["verdict"]) == ("w", "b", 2.0, "≥ 3", "missed")


def test_every_candidate_with_a_target_exists():
    assert set(_CHEAPER) <= {candidate.name for candidate in (HAPPYBASE, *STUBBED)}


def test_a_candidate_that_is_not_installed_says_so():
    candidate = Candidate("a pool", "no-such-distribution", "no_such_module", lambda *_: contextlib.nullcontext())
    assert (candidate.missing(), candidate.version()) == ("not installed", None)
    assert POOL.missing() is None


def test_a_picture_puts_everything_on_one_scale():
    def found(what, base, value):
        return Finding("checkout + checkin", what, base, value)

    bars = plot.bars_of(
        [
            found(POOL.name, FLOOR.name, 1.25),
            found(CONNECTION_POOL.name, FLOOR.name, 1.5),
            found(HAPPYBASE.name, CONNECTION_POOL.name, 20.0),
            found("other", POOL.name, 10.0),
            found("absent", POOL.name, None),
        ]
    )
    assert bars == [
        (FLOOR.name, pytest.approx(0.8)),
        (POOL.name, 1.0),
        (CONNECTION_POOL.name, pytest.approx(1.2)),
        ("other", 10.0),
        (HAPPYBASE.name, pytest.approx(24.0)),
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.012, "12 ms"), (3.4e-5, "34 µs"), (1.2e-7, "120 ns"), (0.1234, "123 ms")]
)
def test_times_are_readable(seconds, text):
    assert tables.duration(seconds) == text


def test_the_floor_says_what_it_lacks(monkeypatch):
    monkeypatch.setattr(floor.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(floor.FloorUnavailable, match="pip install Cython"):
        floor.empty()


def test_the_questions_about_stubs_are_answered_without_a_server():
    quick = Effort(rounds=3, cycles=200)
    answers = {finding.what: finding for finding in QUESTIONS["options"](None, quick)}
    assert len(answers) == 5
    assert all(finding.value > 0 for finding in answers.values())
    sizes = list(QUESTIONS["size"](None, quick))
    assert [finding.value > 0 for finding in sizes[:2]] == [True, True]
    assert sizes[2].value is None or 0 <= sizes[2].value < 2000
    (line,) = QUESTIONS["line"](None, Effort(turns=1))
    assert 0 < line.value < 5
    many = crowd.compared(100, 1, 0.2)
    assert many.value > 0 and "s / " in tables.made_of(many.figures)
    (parallel,) = QUESTIONS["parallel"](None, quick)
    assert (parallel.value is None) == (scale.no_free_threads() is not None)


def test_the_question_about_concurrency_models_is_answered_for_each_situation_in_each():
    answers = list(QUESTIONS["concurrency"](None, Effort(rounds=2, cycles=500)))
    asked = {finding.question for finding in answers}
    assert asked == {situation.of(model) for situation in concurrency.SITUATIONS for model in concurrency.MODELS}
    for finding in answers:
        assert finding.missing or finding.value > 0, finding
        assert finding.missing is None or finding.what.startswith("happybase") or not needed(finding), finding
        assert finding.target is None or "at once" not in finding.question


def needed(finding):
    """Whether everything that this finding needs is installed."""
    modules = {"greenlet": "gevent", "aiohappybase": "aiohappybase", "asyncpg": "asyncpg", "redis": "redis"}
    modules |= {"SQLAlchemy": "sqlalchemy", "psycopg_pool": "psycopg_pool"}
    about = f"{finding.question} {finding.what}"
    return all(importlib.util.find_spec(module) for word, module in modules.items() if word in about)


def test_what_is_handed_over_is_waited_for():
    """Each situation is what its name says: the pool itself counts the waits."""
    from fastpool._cli.compare import asyncio_candidates

    seen = {}

    @contextlib.asynccontextmanager
    async def open_(size):
        async with fastpool.AsyncPool(asyncio_candidates.opened, max_size=size) as pool:
            yield asyncio_candidates.by_blocks(pool.connection)
            seen[size] = pool.stats().waits

    candidate = Candidate("counted", None, "asyncio", asyncio_candidates.in_a_loop(open_))
    waits = {}
    for situation in concurrency.SITUATIONS:
        with concurrency.in_tasks(situation, candidate) as cycles:
            cycles(80)
        waits[situation.name] = seen[situation.size]
    assert waits == {"alone": 0, "handed over": 78, "asked for again at once": 78}


def test_a_crowd_that_the_system_does_not_allow_is_missing(monkeypatch):
    def refused(side, threads, seconds):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(crowd, "cost", refused)
    assert [finding.missing for finding in QUESTIONS["crowd"](None, Effort(turns=1))] == ["can't start new thread"] * 2


def test_a_crowd_whose_process_fails_says_why():
    with pytest.raises(RuntimeError, match=r"the process that measures ended with 1: .*"):
        crowd.cost("nothing of the kind", 3, -1.0)


def test_a_process_that_fails_says_why():
    pytest.importorskip("gevent", reason="gevent is not installed")
    wrong = green_candidates.Settings(2, 50, None, ((2, 4),))
    with pytest.raises(RuntimeError, match=r"the process that measures ended with 1: ValueError"):
        green_candidates.compare_in_a_patched_process(wrong)


def test_a_table_of_the_concurrency_models():
    publish = pytest.importorskip("bench.publish", reason="the tests run without the checkout around them")
    times = {"theirs_ns": 3000.0, "ours_ns": 1500.0}
    findings = [
        Finding(concurrency.ALONE.of("greenlet"), "a queue", "ours", 2.0, target=Target(1.0), figures=times),
        Finding(concurrency.HANDED_OVER.of("greenlet"), "a queue", "ours", 0.5, target=Target(1.0), figures=times),
        Finding(concurrency.ALONE.of("task"), "another", "ours", missing="not installed"),
        Finding("something else", "a pool", "ours", 2.0, target=Target(1.0)),
    ]
    where = {"implementation": "CPython", "python": "3", "gil": True, "system": "s", "processor": "p", "cores": 2}
    given = report({**where, "busy": 1}, findings)
    table = publish.concurrency(given)
    assert "| a queue | 2.00× (3 µs / 1.5 µs) | 0.50× (3 µs / 1.5 µs) missed |  |" in table
    assert "| another | not installed |  |  |" in table and "a pool" not in table
    assert "a pool" in publish.targets(given) and "a queue" not in publish.targets(given)


def test_the_first_screen_has_three_rows_of_the_demos_table():
    publish = pytest.importorskip("bench.publish", reason="the tests run without the checkout around them")
    load = {"ops_per_s": 5.0, "longest_wait_s": 2.5, "ideal_wait_s": 0.1, "most_served_meanwhile": 5}
    loads = {name: {**load, "fewest": 0, "mean": 3.0} for name in ("8_on_8", "64_on_8")}
    sides = [
        {"name": name, "checkout_ns": 12_663.0, **loads, "scan_s": 0.1, "after_interruption": None}
        for name in ("a", "b")
    ]
    where = {"implementation": "CPython", "python": "3", "gil": True, "system": "s", "processor": "p", "cores": 2}
    given = {"sides": sides, "environment": {**where, "busy": 1}}
    first = publish.demo(given, publish._FIRST_SCREEN).splitlines()
    assert first[:5] == [
        "|  | a | b |",
        "| --- | --- | --- |",
        "| one checkout + checkin, alone | 12,663 ns | 12,663 ns |",
        "| 64 threads on 8 connections: longest wait | 2.5 s | 2.5 s |",
        "| a call is interrupted; then `row(b'other')` gives | not tried | not tried |",
    ]
    assert set(first) < set(publish.demo(given).splitlines())


def test_figures_are_written_between_their_marks_only(tmp_path):
    publish = pytest.importorskip("bench.publish", reason="the tests run without the checkout around them")
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- figures: a -->\nold\n<!-- end -->\nbetween\n<!-- figures: b -->\n<!-- end -->\nafter\n"
    )
    publish._replace(page, "a", "new \\1")
    publish._replace(page, "b", "other")
    assert page.read_text() == (
        "before\n<!-- figures: a -->\n\nnew \\1\n\n<!-- end -->\nbetween\n"
        "<!-- figures: b -->\n\nother\n\n<!-- end -->\nafter\n"
    )
    with pytest.raises(SystemExit, match=r"page.md must have one place .* but has 0"):
        publish._replace(page, "c", "lost")
    for path, name in ((publish.README, "demo"), (publish.README, "bench"), (publish.PERFORMANCE, "all")):
        assert f"<!-- figures: {name} -->" in path.read_text(encoding="utf-8")
