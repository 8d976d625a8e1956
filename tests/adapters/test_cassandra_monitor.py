"""SessionPool's health, warm and monitor, with hosts that answer or do not, as the test says."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("cassandra", reason="cassandra-driver is not installed")
from cassandra.connection import ConnectionException

from fastpool.adapters.cassandra import HostHealth, SessionPool
from tests.concurrency._told import eventually, soon

from ._cassandra_session import PATIENCE, Future, Host, NoHostAvailable, Session

FAST = 0.01


class Hosts(Session):
    """A session whose hosts answer but for those in `silent`, `down` and `failing`."""

    def __init__(self) -> None:
        super().__init__()
        self.silent: set[str] = set()
        self.down: set[str] = set()
        self.failing: set[str] = set()

    def execute_async(self, query: Any, *args: Any, host: Any = None, **kwargs: Any) -> Future:
        future = super().execute_async(query, *args, host=host, **kwargs)
        if host.address in self.down:
            future.fail(NoHostAvailable("Unable", {host: ConnectionException("Host has been marked down or removed")}))
        elif host.address in self.failing:
            raise RuntimeError("cannot send")
        elif host.address not in self.silent:
            future.answer([("5.0.2",)])
        return future


@pytest.fixture
def session() -> Hosts:
    return Hosts()


def test_each_host_is_asked_itself(session: Hosts) -> None:
    with SessionPool(session, max_concurrent=1) as pool:
        held = pool.checkout()  # no permit is needed, so a pool that is used up can be asked
        found = pool.health()
        pool.checkin(held)
    assert [future.host for future in session.sent] == session.cluster.metadata.hosts
    first = found[0]
    assert first.latency_ms is not None and 0 <= first.latency_ms < 1000 * PATIENCE
    assert first == HostHealth("10.0.0.1", "dc1", "rack1", True, "5.0.2", 1, 7, first.latency_ms, None)
    assert all(host.healthy for host in found) and len(found) == 3


def test_all_are_asked_at_once_each_with_a_limit(session: Hosts) -> None:
    session.silent = {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    with SessionPool(session) as pool:
        began = time.monotonic()
        found = pool.health(timeout=1.0)
        took = time.monotonic() - began
    assert 1.0 <= took < 2.0, "one after the other they would take 3 s"
    assert [host.error for host in found] == ["TimeoutError: no answer within 1 s"] * 3
    assert {future.timeout for future in session.sent} == {1.0}
    assert not any(host.healthy or host.latency_ms for host in found)


def test_the_limit_is_5_s_unless_told(session: Hosts) -> None:
    with SessionPool(session) as pool:
        pool.health()
        pool.warm()
    assert [future.timeout for future in session.sent] == [5.0] * 6


def test_why_a_host_is_unhealthy(session: Hosts) -> None:
    session.down, session.failing = {"10.0.0.1"}, {"10.0.0.2"}
    session.cluster.metadata.hosts[0].is_up = False
    with SessionPool(session) as pool:
        one, two, three = pool.health()
    assert (one.is_up, one.connections, one.in_flight, one.latency_ms) == (False, 0, 0, None)
    assert one.error == "ConnectionException: Host has been marked down or removed"
    assert (two.is_up, two.error, three.error) == (True, "RuntimeError: cannot send", None)


def test_warm_asks_those_that_are_up(session: Hosts) -> None:
    session.cluster.metadata.hosts += [Host("10.0.0.4", is_up=False)]
    session.failing = {"10.0.0.2"}
    with SessionPool(session) as pool:
        found = pool.warm()
        assert asyncio.run(pool.awarm()).keys() == found.keys()
    assert list(found) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert found["10.0.0.1"] is None and isinstance(found["10.0.0.2"], RuntimeError)


def test_a_host_that_the_policy_leaves_out(session: Hosts) -> None:
    from cassandra.policies import HostDistance

    class Profiles:
        def distance(self, host: Host) -> int:
            return int(HostDistance.IGNORED if host.address == "10.0.0.3" else HostDistance.LOCAL)

    session.cluster.profile_manager = Profiles()  # type: ignore[attr-defined]
    with SessionPool(session) as pool:
        found = pool.health()
        assert list(pool.warm()) == ["10.0.0.1", "10.0.0.2"]
    assert (found[2].latency_ms, found[2].error, found[2].healthy) == (None, None, True)


def test_health_of_a_task_does_not_block_its_loop(session: Hosts) -> None:
    session.silent = {"10.0.0.1"}

    async def main() -> None:
        async with SessionPool(session) as pool:
            turns = 0
            asking = asyncio.ensure_future(pool.ahealth(timeout=0.5))
            while not asking.done():
                turns += 1
                await asyncio.sleep(0.01)
            assert turns > 5 and [host.healthy for host in await asking] == [False, True, True]

    asyncio.run(main())


@pytest.mark.parametrize("timeout", [0, -1, None, "5", float("inf")])
def test_a_bad_limit(session: Hosts, timeout: Any) -> None:
    with SessionPool(session) as pool:
        for call in (pool.health, pool.warm):
            with pytest.raises((TypeError, ValueError), match="timeout must be a number of seconds"):
                call(timeout)


# ---- the monitor ---------------------------------------------------------------------------------------------------


class Alerts:
    """A callback that remembers; ``raises`` is what it ends with."""

    def __init__(self) -> None:
        self.told: list[list[HostHealth]] = []
        self.raises: BaseException | None = None
        self.calls: Callable[[], object] | None = None
        self._came = threading.Condition()

    def __call__(self, hosts: list[HostHealth]) -> None:
        with self._came:
            self.told.append(hosts)
            self._came.notify_all()
        if self.calls is not None:
            self.calls()
        if self.raises is not None:
            raise self.raises

    def await_told(self, n: int) -> None:
        with self._came:
            assert self._came.wait_for(lambda: len(self.told) >= n, PATIENCE), f"told {len(self.told)} of {n} times"

    async def aawait_told(self, n: int) -> None:
        assert await soon(lambda: len(self.told) >= n, PATIENCE), f"told {len(self.told)} of {n} times"


def await_rounds(monitor: Any, n: int) -> None:
    assert eventually(lambda: monitor.rounds >= n, PATIENCE), f"{monitor!r} has not made {n} rounds"


def await_end(monitor: Any) -> None:
    assert eventually(lambda: not monitor.running, PATIENCE)


def test_it_tells_of_the_unhealthy_ones_in_each_round_that_finds_any(session: Hosts) -> None:
    alerts = Alerts()
    with SessionPool(session) as pool:
        monitor = pool.monitor(FAST, alerts)
        await_rounds(monitor, 3)
        assert alerts.told == [] and [host.healthy for host in monitor.hosts] == [True] * 3
        session.down = {"10.0.0.2"}
        alerts.await_told(3)
        assert {host.address for hosts in alerts.told for host in hosts} == {"10.0.0.2"}
        session.down = set()
        await_rounds(monitor, monitor.rounds + 2)
        told = len(alerts.told)
        await_rounds(monitor, monitor.rounds + 3)
        assert len(alerts.told) == told, "all are well again"
        monitor.stop()
        monitor.stop()
        assert not monitor.running and "stopped" in repr(monitor)


@pytest.mark.parametrize("error", [ValueError("of the callback"), SystemExit(3)])
def test_it_survives_its_callback(session: Hosts, error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    session.down = {"10.0.0.1"}
    alerts = Alerts()
    alerts.raises = error
    with SessionPool(session) as pool:
        monitor = pool.monitor(FAST, on_alert=alerts)
        alerts.await_told(3)
        assert monitor.running
        monitor.stop()
    assert f"the next comes in 0.01 s: {type(error).__name__}: {error}" in caplog.text


def test_it_survives_a_driver_that_fails(session: Hosts, caplog: pytest.LogCaptureFixture) -> None:
    alerts = Alerts()
    with SessionPool(session) as pool:
        session.down = {"10.0.0.1"}
        hosts, session.cluster.metadata.hosts = session.cluster.metadata.hosts, None  # type: ignore[assignment]
        pool.monitor(FAST, alerts)
        assert eventually(lambda: "TypeError" in caplog.text, PATIENCE)
        session.cluster.metadata.hosts = hosts
        alerts.await_told(1)


def test_its_callback_may_stop_it(session: Hosts) -> None:
    session.down = {"10.0.0.1"}
    alerts = Alerts()
    started = threading.Event()
    threads: list[threading.Thread] = []

    def stop() -> None:
        threads.append(threading.current_thread())
        started.wait(PATIENCE)
        monitor.stop()

    with SessionPool(session) as pool:
        alerts.calls = stop
        monitor = pool.monitor(FAST, alerts)
        started.set()
        await_end(monitor)
        threads[0].join(PATIENCE)
        assert not threads[0].is_alive()
    assert len(alerts.told) == 1


@pytest.mark.parametrize("kind", ["plain", "coroutine function"])
@pytest.mark.parametrize("error", [None, ValueError("of the callback"), asyncio.CancelledError()])
def test_a_task_where_a_loop_runs(session: Hosts, kind: str, error: BaseException | None) -> None:
    session.down = {"10.0.0.3"}
    alerts = Alerts()
    alerts.raises = error

    async def awaited(hosts: list[HostHealth]) -> None:
        await asyncio.sleep(0)
        alerts(hosts)

    async def main() -> None:
        before = threading.active_count()
        async with SessionPool(session) as pool:
            monitor = pool.monitor(FAST, alerts if kind == "plain" else awaited)
            await alerts.aawait_told(3)
            assert monitor.running
            names = [thread.name for thread in threading.enumerate()]
            assert not any(name.startswith("fastpool monitor") for name in names) and before
            monitor.stop()
            rounds, told = monitor.rounds, len(alerts.told)
            assert monitor._task is not None
            await asyncio.wait({monitor._task}, timeout=PATIENCE)
            assert monitor._task.done() and len(alerts.told) == told
            assert monitor.rounds <= rounds + 1 and not monitor.running

    asyncio.run(main())


def test_a_task_stopped_from_elsewhere(session: Hosts) -> None:
    session.down = {"10.0.0.3"}
    alerts = Alerts()

    async def main() -> None:
        async with SessionPool(session) as pool:
            monitor = pool.monitor(FAST, alerts)
            await alerts.aawait_told(1)
            thread = threading.Thread(target=monitor.stop)
            thread.start()
            await asyncio.to_thread(thread.join)
            alerts.calls = monitor.stop
            other = pool.monitor(FAST, alerts)
            alerts.calls = other.stop
            assert await soon(lambda: not other.running, PATIENCE)
        assert monitor._task is not None
        assert monitor._task.done()
        return None

    asyncio.run(main())


def test_it_ends_with_its_loop_and_with_its_pool(session: Hosts) -> None:
    pool = SessionPool(session)

    async def main() -> Any:
        return pool.monitor(FAST)

    monitor = asyncio.run(main())
    assert not monitor.running
    monitor.stop()
    thread = pool.monitor(FAST)
    await_rounds(thread, 1)
    pool.close()
    assert not thread.running


def test_it_does_not_keep_its_pool(session: Hosts) -> None:
    import gc
    import weakref

    pool = SessionPool(session)
    monitor, gone = pool.monitor(FAST), weakref.ref(pool)
    await_rounds(monitor, 1)
    del pool

    def collected() -> bool:
        gc.collect()
        return gone() is None

    assert eventually(collected, PATIENCE)
    await_end(monitor)


def test_without_a_callback_it_logs(session: Hosts, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "fastpool.cassandra")
    session.down = {"10.0.0.2"}
    with SessionPool(session) as pool:
        await_rounds(pool.monitor(FAST), 2)
    assert "1 of 3 hosts are unhealthy: 10.0.0.2 (ConnectionException: Host has been marked down" in caplog.text


@pytest.mark.parametrize("interval", [0, -1, None, "60", float("nan")])
def test_a_bad_interval(session: Hosts, interval: Any) -> None:
    with SessionPool(session) as pool, pytest.raises((TypeError, ValueError), match=r"interval'? must be a "):
        pool.monitor(interval)


def test_a_bad_callback(session: Hosts) -> None:
    async def awaited(hosts: list[HostHealth]) -> None: ...

    with SessionPool(session) as pool:
        with pytest.raises(TypeError, match=r"on_alert must be callable or None, not 5 \(int\)"):
            pool.monitor(60, 5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="but no event loop runs in this thread"):
            pool.monitor(60, awaited)
