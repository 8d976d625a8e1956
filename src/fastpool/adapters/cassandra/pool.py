"""Permits on one shared session of cassandra-driver, for threads and for tasks.

::

    pool = SessionPool(cluster, "shop", max_concurrent=200)
    with pool.session(timeout=2) as session:
        session.execute("SELECT * FROM users WHERE id = %s", (1,))
    rows = await pool.execute("SELECT * FROM users WHERE id = %s", (1,), timeout=2)
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from ..._async.checkout import close_all, obtain
from ..._config import Config, _count, _time
from ..._core import STEP_READY, AnyLease, Checkin, Checkout, clock
from ..._errors import LeaseError, PoolClosed
from ..._pool import Pool
from .blocks import AsyncSessionBlock, SessionBlock
from .health import LIMIT_S, HostHealth, health_of_hosts, warm_hosts
from .monitor import Monitor, OnAlert
from .permit import Permit, PermitDriver
from .session import AwaitingSession, LeasedSession
from .shared import SharedSession
from .timeouts import UNSET, Budget
from .workers import DirectCalls, by_worker

if TYPE_CHECKING:
    from .options import SessionPoolOptions

MOST_AT_ONCE = 32768  # stream ids of a connection under protocol v3 and later


class SessionPool(Pool[Any]):
    """At most ``max_concurrent`` leases of one session at once, first come, first served.

    ``session_or_cluster``: a ``Session`` of cassandra-driver or an ``AsyncCassandraSession`` of async-cassandra, which
    ``close()`` leaves open; or a ``Cluster``, of which the pool makes a session of its own when it opens. ``keyspace``
    is that session's; a session that was given is switched to it. ``max_concurrent``: 1 to 32768, the requests that
    one connection can carry under protocol v3 and later. ``options`` are those of :class:`fastpool.Pool`, except
    ``max_size`` (which is ``max_concurrent``) and ``servers`` (the cluster has contact points).

    TypeError or ValueError for a bad argument; what ``cluster.connect`` raises if that fails (unless ``open=False``).
    """

    driver: PermitDriver

    def __init__(
        self,
        session_or_cluster: Any,
        keyspace: str | None = None,
        *,
        max_concurrent: int = 1000,
        **options: Unpack[SessionPoolOptions],
    ) -> None:
        size = _count(1, MOST_AT_ONCE)("max_concurrent", max_concurrent)
        if "max_size" in options:
            raise TypeError("max_size is called max_concurrent by a SessionPool")
        if options.get("servers") is not None:
            raise ValueError(
                f"servers={options['servers']!r} cannot be given: the cluster's contact points say where to connect"
            )
        self._monitors: list[Monitor] = []
        driver = PermitDriver(SharedSession(session_or_cluster, keyspace))
        super().__init__(driver=driver, max_size=size, **options)

    # ---- leases -----------------------------------------------------------------------------------------------------

    def session(self, timeout: float | None = UNSET) -> SessionBlock:
        """A lease as a ``with`` block, which gives the session; also a decorator.

        ``timeout``: seconds for the wait for a permit and for each request, which has what the wait left; None: no
        limit; 0: only a permit that is free now. Without it the pool's ``timeout`` counts, and the driver's own limit
        for requests if that is shorter. Raises NoConnectionsAvailable, PoolDeadlock, PoolOverloaded or PoolClosed.
        """
        return SessionBlock(self, timeout)

    def asession(self, timeout: float | None = UNSET) -> AsyncSessionBlock:
        """A task's lease as an ``async with`` block, whose session's ``execute`` is awaited; otherwise as ``session``.

        A task waits in the same line as the threads, without blocking its loop.
        """
        return AsyncSessionBlock(self, timeout)

    async def execute(self, query: Any, params: Any = None, timeout: float | None = UNSET, **kwargs: Any) -> Any:
        """Execute one query under a permit of its own, and return the driver's result.

        ``timeout`` covers the wait and the request; further arguments are those of the session's ``execute``.
        """
        async with self.asession(timeout) as session:
            return await session.execute(query, params, **kwargs)

    connection = session  # type: ignore[assignment]  # both names give the session
    aconnection = asession  # type: ignore[assignment]

    def checkout(self, timeout: float | None = UNSET) -> LeasedSession:
        """A lease by hand, which ``checkin(session)`` ends, from any thread."""
        began = clock()
        return self._leased(super().checkout(timeout), timeout, began)

    def checkin(self, c: LeasedSession, discard: bool = False) -> None:
        """End a lease by hand. LeaseError for a session that this pool did not give, and for a second return."""
        if not isinstance(c, LeasedSession) or c._pool is not self:
            raise LeaseError(f"pool {self.name!r} did not give out {c!r}: it cannot be returned here")
        self._leave(c._end(), self._checkin_by_hand(c._permit, discard))

    # ---- the hosts --------------------------------------------------------------------------------------------------

    def warm(self, timeout: float = LIMIT_S) -> dict[str, BaseException | None]:  # type: ignore[override]
        """Send one light query to each host that is up, all at once, before the first real request.

        Returns the outcome by address: None, or the error. ``timeout``: seconds for each host. Takes no permit.
        """
        return warm_hosts(self._session_now(), _seconds("timeout", timeout))

    def health(self, timeout: float = LIMIT_S) -> list[HostHealth]:
        """Ask each host directly, all at once; return how each is. ``timeout``: seconds for each. Takes no permit."""
        return health_of_hosts(self._session_now(), _seconds("timeout", timeout))

    async def awarm(self, timeout: float = LIMIT_S) -> dict[str, BaseException | None]:
        """``warm`` for tasks: a thread of the pool's own waits for the hosts."""
        return await by_worker(self, lambda: self.warm(timeout))

    async def ahealth(self, timeout: float = LIMIT_S) -> list[HostHealth]:
        """``health`` for tasks: a thread of the pool's own waits for the hosts."""
        return await by_worker(self, lambda: self.health(timeout))

    def monitor(self, interval: float = 60, on_alert: OnAlert | None = None) -> Monitor:
        """Ask all hosts every ``interval`` seconds, from now until ``.stop()`` or the pool's ``close()``.

        A task where a loop runs, otherwise a daemon thread. ``on_alert(hosts)`` is called with the unhealthy ones in
        each round that finds any, and may be a coroutine function in a task; None: they are logged.
        """
        self._check_open()
        self._monitors = [monitor for monitor in self._monitors if monitor.running]
        monitor = Monitor(self, interval, on_alert)
        self._monitors.append(monitor)
        return monitor

    # ---- life -------------------------------------------------------------------------------------------------------

    @property
    def max_concurrent(self) -> int:
        """The most leases at once."""
        return self.config.max_size

    def resize(self, *, max_concurrent: int | None = None, **sizes: Any) -> None:
        """Change ``max_concurrent``, or another size as ``Pool.resize`` does, while the pool is in use."""
        if max_concurrent is not None:
            sizes["max_size"] = _count(1, MOST_AT_ONCE)("max_concurrent", max_concurrent)
        super().resize(**sizes)

    def close(self, timeout: float | None = None) -> None:
        """Close the pool, as ``Pool.close`` does, and stop its monitors.

        A session that was given stays open. One that the pool made is shut down when all permits are back: now if they
        are, else after the last one; with ``timeout`` after so many seconds at the latest.
        """
        for monitor in self._monitors:
            monitor.stop()
        try:
            super().close(timeout)
        finally:
            self.driver.end(now=timeout is not None)

    async def aclose(self, timeout: float | None = None) -> None:
        """``close`` for tasks: the loop goes on while a thread of the pool's own waits for the leases."""
        await by_worker(self, lambda: self.close(timeout))

    async def __aenter__(self) -> Self:
        await by_worker(self, self.open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(f"pool {self.name!r} cannot be pickled: its session belongs to this process")

    # ---- its parts --------------------------------------------------------------------------------------------------

    def _least(self) -> int:
        """Make at least one permit with the pool, which connects, so that a cluster that is away is noticed."""
        return max(self.config.min_size, 1)

    def _configure(self, config: Config) -> None:
        if config.max_overflow == -1:
            config = config.replaced(max_overflow=MOST_AT_ONCE - min(config.max_size, MOST_AT_ONCE))
        if (most := config.max_size + config.max_overflow) > MOST_AT_ONCE:
            raise ValueError(f"max_concurrent and max_overflow must be at most {MOST_AT_ONCE} together, not {most}")
        super()._configure(config)

    def _session_now(self) -> Any:
        self._check_open()
        return self.driver.shared.get()

    def _check_open(self) -> None:
        if self.closed:
            raise PoolClosed(f"pool {self.name!r} is closed")

    def _leased(self, permit: Permit, timeout: float | None, began: float) -> LeasedSession:
        asked = timeout is not UNSET
        budget = Budget(timeout if asked else self.config.timeout, clock() - began, asked)
        return LeasedSession(self, permit, self.driver.shared.get(), budget)

    def _awaiting(self, leased: LeasedSession) -> Any:
        shared = self.driver.shared
        return AwaitingSession(leased) if shared.wrapper is None else shared.wrapped(leased)

    def _release(self, leased: LeasedSession, lease: AnyLease[Any]) -> None:
        """End a block: its permit is free when the last of its requests has ended."""
        self._leave(leased._end(), self._checkin_of(lease, None))

    def _leave(self, permit: Permit, checkin: Checkin | None) -> None:
        if checkin is not None:  # else it is an inner block, or the pool was closed
            permit.leave(partial(self._finish, checkin))

    def _finish(self, checkin: Checkin) -> None:
        while checkin.step() != STEP_READY:
            close_all(self, self.driver.close, checkin.closing())

    def _obtain(self, checkout: Checkout) -> Coroutine[Any, Any, None]:
        if not self.driver.shared.ready:
            return super()._obtain(checkout)  # the cluster is still to be connected, which a thread has to wait for
        if self._lacks_keeper:
            self._go_on_keeping()
        return obtain(self, checkout, DirectCalls(self.driver))


def _seconds(name: str, value: Any) -> float:
    seconds: float | None = _time(positive=True)(name, value)
    if seconds is None:
        raise TypeError(f"{name} must be a number of seconds, not None")
    return seconds


SessionPool.__module__ = "fastpool.adapters.cassandra"
