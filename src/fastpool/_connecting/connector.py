"""Opening a connection: which server to ask, what to do if it refuses, and how long to leave it alone then.

A server that refused is left alone for a while, growing with each refusal in a row, drawn at random below its limit
("full jitter", so that many processes do not come back in step). Meanwhile the others serve. When none is left to
ask, the caller fails at once, with the last server's error, instead of burning its timeout.
"""

from __future__ import annotations

from _random import Random
from collections.abc import Awaitable, Callable, Mapping

from .._config import Config
from .._core.greenlets import pause
from .._driver import Driver
from .._errors import AllServersUnavailable, OutOfTime
from .._light.hints import TYPE_CHECKING, Any
from .._servers import Server, server_text
from .._telemetry.stats import duration_text, error_text
from .server_health import ServerHealth, ServerState
from .without_traceback import without_traceback

if TYPE_CHECKING:
    from .._core import Entry

# A connect that its caller's own deadline ended before this many seconds says little about the server: one impatient
# caller must not turn all others away. A second one in a row does count, or a server that hangs would never be down.
FAIR_TRIAL = 1.0

# Where the driver has a server asked that is left alone, its caller waits so many seconds before, at the most.
LONGEST_REST = 0.1


class Connector:
    """Opens the connections of one pool.

    ``tell(name, **fields)`` passes events on; ``clock()`` gives monotonic seconds; ``rng`` draws pauses and servers.
    """

    __slots__ = ("_clock", "_driver", "_tell", "health", "last_error")

    def __init__(
        self,
        driver: Driver,
        config: Config,
        tell: Callable[..., object],
        clock: Callable[[], float],
        rng: Random | None = None,
    ) -> None:
        self._driver = driver
        self._tell = tell
        self._clock = clock
        self.health = ServerHealth(config, tell, clock, rng)
        self.last_error: BaseException | None = None
        """The error of the last connect that failed, copied without its traceback; None if none has failed."""

    def open(
        self,
        entry: Entry,
        timeout: float | None,
        leased_by_server: Callable[[], Mapping[Any, int]],
        patient: bool = False,
    ) -> tuple[Any, Server | None]:
        """Open a connection for ``entry`` within ``timeout`` seconds (None: no limit); return it and its server.

        ``patient``: a server that is left alone only because callers had too little time for it is asked all the same.
        Raises what the driver raised; with several servers AllServersUnavailable when none of them serves, its
        ``__cause__`` being the error of the last one.
        """
        trial = _Trial(self, timeout, leased_by_server, patient)
        try:
            while not trial.over:
                server, rest = trial.next()
                if rest:
                    pause(rest)
                left = trial.begin()
                with trial:
                    connection = self._driver.open_entry(entry, server, left)
            return _something(connection), server
        finally:
            trial.forget()

    async def aopen(
        self,
        entry: Entry,
        timeout: float | None,
        leased_by_server: Callable[[], Mapping[Any, int]],
        patient: bool = False,
    ) -> tuple[Any, Server | None]:
        """Open a connection as ``open`` does, with a driver whose ``open_entry`` may be a coroutine function.

        A connect that takes longer than ``timeout`` is cancelled: OutOfTime.
        """
        from inspect import isawaitable

        trial = _Trial(self, timeout, leased_by_server, patient)
        try:
            while not trial.over:
                server, rest = trial.next()
                if rest:
                    from asyncio import sleep

                    await sleep(rest)
                left = trial.begin()
                with trial:
                    connection = self._driver.open_entry(entry, server, left)
                    if isawaitable(connection):
                        connection = await _within(left, connection)
            return _something(connection), server
        finally:
            trial.forget()

    def states(self) -> dict[Server, ServerState]:
        """The servers that refused and have not accepted since."""
        return self.health.states()

    def reset_after_fork(self) -> None:
        """Begin anew in a forked child: with its own random numbers, and not in every child with the first server."""
        self.health.reset_after_fork()


async def _within(seconds: float | None, connecting: Awaitable[Any]) -> Any:
    """The result of ``connecting``; OutOfTime if that takes longer."""
    from .._core.time_limit import TimeLimit

    # Not wait_for, which would make a task of its own and, on 3.11, can lose what that returned.
    try:
        async with TimeLimit(seconds) as limit:
            return await connecting
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise OutOfTime("the time of the checkout was over before the connect was") from error


def _something(connection: Any) -> Any:
    """``connection``; TypeError if it is None, as a ``connect`` without a ``return`` gives."""
    if connection is None:
        raise TypeError("connect returned None instead of a connection: is there a `return` missing?")
    return connection


class _Trial:
    """Tries to open one connection: server after server, until one accepts or none is left.

    ``next()`` chooses a server, ``begin()`` begins with it; as a context manager it notes how that one answers, and is
    ``over`` when it has accepted. A refusal after which another server is to be asked goes no further.
    """

    __slots__ = (
        "_asked", "_began", "_connector", "_deadline", "_error", "_leased", "_patient", "_round", "_server",
        "_servers", "_tried", "over",
    )  # fmt: skip

    def __init__(
        self,
        connector: Connector,
        timeout: float | None,
        leased_by_server: Callable[[], Mapping[Any, int]],
        patient: bool,
    ) -> None:
        self._connector = connector
        self._patient = patient
        self._deadline = None if timeout is None else connector._clock() + timeout
        self._leased = leased_by_server
        self._servers = connector.health.servers()
        self._tried: dict[Server, BaseException] = {}
        self._asked: set[Server] = set()  # in this round
        self._round = 1
        self._server: Server | None = None
        self._error: BaseException | None = None
        self._began = 0.0
        self.over = False

    def next(self) -> tuple[Server | None, float]:
        """The server to ask, and how many seconds to wait before; AllServersUnavailable (or the one server's error)."""
        connector = self._connector
        rest = 0.0
        if self._servers:
            resting = {server: state for server, state in connector.health.states().items() if state.retry_in > 0}
            able = tuple(s for s in self._servers if s not in self._asked and s not in resting)
            if self._patient:
                able = self._likely(able, resting)
            if not able:
                able = self._next_round()
            if not able or (self._tried and self._left() == 0.0):
                raise self._none_left(resting)
            self._server = connector.health.choose(self._servers, able, self._leased)
            if self._round > 1 and self._server in resting:
                rest = min(resting[self._server].retry_in, LONGEST_REST)
                left = self._left()
                rest = rest if left is None else min(rest, left / 2)  # it needs time to connect, too
        return self._server, rest

    def begin(self) -> float | None:
        """Begin to connect to the server that was chosen; the seconds left."""
        connector = self._connector
        self._began = connector._clock()
        connector._tell("connect_started", server=self._server)
        return self._left()

    def _likely(self, able: tuple[Server, ...], resting: Mapping[Server, ServerState]) -> tuple[Server, ...]:
        doubted = self._connector.health.doubted
        slow = (s for s in self._servers if s not in self._tried and s in resting and resting[s].hasty)
        return tuple(s for s in able if s not in doubted) or able or tuple(slow)

    def _next_round(self) -> tuple[Server, ...]:
        """The servers to ask when none is left in the first round: after that, those left alone are asked, too."""
        if self._round > 1 and (left := tuple(s for s in self._servers if s not in self._asked)):
            return left
        if self._round >= self._connector._driver.rounds:
            return ()
        self._round += 1
        self._asked.clear()
        return self._servers

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None:
            self._accepted()
            self.over = True
        return isinstance(error, Exception) and self._refused(error)

    def _refused(self, error: Exception) -> bool:
        """Note a refusal; True: ask the next server, False: raise this error."""
        connector, server = self._connector, self._server
        took = connector._clock() - self._began
        cut_off = isinstance(error, OutOfTime)
        remembered = without_traceback(error)
        connector.last_error = remembered
        self._error = error
        blamed = connector._driver.blames_server(error)
        if server is not None and blamed:
            self._tried[server] = remembered
            self._asked.add(server)
            connector.health.refused(
                server, remembered, fair=took >= FAIR_TRIAL or not (cut_off or self._left() == 0.0)
            )
        connector._tell("connect_failed", server=server, error=error, duration=took)
        several = len(set(self._servers)) > 1 or (server is not None and connector._driver.rounds > 1)
        return several and blamed and not cut_off

    def _accepted(self) -> None:
        """Note that the connection is open."""
        if self._server is not None:
            self._connector.health.accepted(self._server)

    def forget(self) -> None:
        """Drop the error, whose traceback refers to the frame that refers to this trial."""
        self._error = None

    def _left(self) -> float | None:
        return None if self._deadline is None else max(self._deadline - self._connector._clock(), 0.0)

    def _none_left(self, resting: Mapping[Server, ServerState]) -> BaseException:
        servers = tuple(dict.fromkeys(self._servers))
        if len(servers) == 1:
            remembered = self._tried.get(servers[0]) or resting[servers[0]].error
            again = without_traceback(remembered, 0)
            again.__cause__ = remembered
            return self._connector._driver.none_left(again)
        lines = [f"none of {len(servers)} servers gave a connection"]
        for server in servers:
            if server in self._tried:
                what = f"failed: {error_text(self._tried[server])}"
            elif server in resting:
                state = resting[server]
                rest = duration_text(state.retry_in)
                what = f"is left alone for another {rest}, it had failed: {error_text(state.error)}"
            else:
                what = "was not tried: the time is up"
            lines.append(f"  {server_text(server)} {what}")
        failure = AllServersUnavailable("\n".join(lines))
        last = self._connector.last_error
        failure.__cause__ = self._error or (None if last is None else without_traceback(last))
        return self._connector._driver.none_left(failure)
