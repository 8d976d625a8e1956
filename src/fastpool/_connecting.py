"""Opening a connection: which server, what if it refuses, and when to leave it alone.

A server that refused is left alone for a while, growing with each refusal in a row, drawn at random below its limit
("full jitter", so that many processes do not come back in step). Meanwhile the others serve. When none is left to
ask, the caller fails at once, with what the last one said, instead of burning its timeout.
"""

from __future__ import annotations

from _random import Random
from collections.abc import Callable, Iterable, Mapping

from ._config import Config
from ._core import Cell
from ._driver import Driver
from ._echo import echo
from ._errors import AllServersUnavailable
from ._hints import TYPE_CHECKING, Any
from ._record import dataclass, replace
from ._servers import Server, normalise_server, normalise_servers, server_text
from ._stats import duration_text, error_text

if TYPE_CHECKING:
    from ._core import Seat

# A connect that its caller's own deadline ended before this many seconds says little about the server: one impatient
# caller must not turn all others away. A second one in a row does count, or a server that hangs would never be down.
FAIR_TRIAL = 1.0
_DOUBLINGS = 30


class OutOfTime(TimeoutError):
    """A check or connect was ended by the checkout's own limit, be it early (uvloop's timers are, for the clock)."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """How a server stands: refusals in a row, seconds until it may be tried again, and what it said last."""

    refusals: int
    retry_in: float
    error: BaseException
    hasty: bool = False
    """Whether it is left alone only because an impatient caller's deadline ended a connect."""


@dataclass(frozen=True, slots=True)
class _Down:
    """A server that refused: what is remembered of it until it accepts a connection again."""

    error: BaseException
    refusals: int
    since: float
    until: float
    hasty: bool


@dataclass(frozen=True, slots=True)
class _Book:
    """What a connector knows of its servers. Never changed, only replaced, so that no lock is needed."""

    down: Mapping[Server, _Down]
    doubted: frozenset[Server]
    turn: int  # whose turn it is, as an index into the list of servers


class Connector:
    """Opens the connections of one pool.

    ``tell(name, **fields)`` passes events on; ``clock()`` gives monotonic seconds; ``rng`` draws pauses and servers.
    There is no lock: threads, signal handlers and finalizers may open connections at any moment.
    """

    __slots__ = ("_book", "_clock", "_config", "_driver", "_rng", "_tell", "last_error")

    def __init__(
        self,
        driver: Driver,
        config: Config,
        tell: Callable[..., object],
        clock: Callable[[], float],
        rng: Random | None = None,
    ) -> None:
        self._driver = driver
        self._config = config
        self._tell = tell
        self._clock = clock
        self._rng = rng or Random()
        self._book = Cell(_Book({}, frozenset(), 0))
        self.last_error: BaseException | None = None
        """What the last connect that failed said (an echo, without traceback); None if none did yet."""

    def open(
        self,
        seat: Seat,
        timeout: float | None,
        leased_by_server: Callable[[], Mapping[Any, int]],
        patient: bool = False,
    ) -> tuple[Any, Server | None]:
        """Open a connection for ``seat`` within ``timeout`` seconds (None: no limit); return it and its server.

        ``patient``: a server that is left alone only because callers had too little time for it is asked all the same.
        Raises what the driver raised; with several servers AllServersUnavailable when none of them serves, its
        ``__cause__`` being what the last one said.
        """
        trial = _Trial(self, timeout, leased_by_server, patient)
        try:
            while True:
                server, left = trial.next()
                try:
                    connection = self._driver.open_seat(seat, server, left)
                except Exception as error:
                    if not trial.refused(error):
                        raise
                else:
                    trial.accepted()
                    return _something(connection), server
        finally:
            trial.forget()

    async def aopen(
        self,
        seat: Seat,
        timeout: float | None,
        leased_by_server: Callable[[], Mapping[Any, int]],
        patient: bool = False,
    ) -> tuple[Any, Server | None]:
        """The same for a driver whose ``open_seat`` may be a coroutine function.

        One that takes longer than ``timeout`` is cancelled: OutOfTime.
        """
        from inspect import isawaitable

        from ._time_limit import TimeLimit

        trial = _Trial(self, timeout, leased_by_server, patient)
        try:
            while True:
                server, left = trial.next()
                try:
                    connection = self._driver.open_seat(seat, server, left)
                    if isawaitable(connection):
                        # Not wait_for, which would make a task of its own and, on 3.11, can lose what that returned.
                        try:
                            async with TimeLimit(left) as limit:
                                connection = await connection
                        except TimeoutError as error:
                            if not limit.expired():
                                raise
                            raise OutOfTime("the time of the checkout was over before the connect was") from error
                except Exception as error:
                    if not trial.refused(error):
                        raise
                else:
                    trial.accepted()
                    return _something(connection), server
        finally:
            trial.forget()

    def states(self) -> dict[Server, ServerState]:
        """The servers that refused and have not accepted since."""
        now = self._clock()
        return {
            server: ServerState(down.refusals, max(down.until - now, 0.0), down.error, down.hasty)
            for server, down in self._book.value.down.items()
        }

    def draw(self) -> float:
        """A random number from 0 up to 1."""
        return self._rng.random()

    def reset_after_fork(self) -> None:
        """Begin anew in the child, with numbers of its own, and not all children with the first server."""
        self._rng = Random()
        self._book = Cell(_Book({}, frozenset(), int(self.draw() * (1 << 16))))

    def _change(self, change: Callable[[_Book], _Book]) -> tuple[_Book, _Book]:
        """Replace the book by what ``change`` makes of it, called again if another was faster; both, old and new."""
        while True:
            old = self._book.value
            new = change(old)
            if new is old or self._book.replace(old, new):
                return old, new

    # ---- what a trial asks ------------------------------------------------------------------------------------

    def _servers(self) -> tuple[Server, ...]:
        servers = self._config.servers
        if not callable(servers):
            return servers or ()
        found = servers()
        if isinstance(found, Iterable) and not isinstance(found, (str, bytes, Mapping)):
            found = tuple(found)
            if not found:
                raise AllServersUnavailable(f"servers() gave no server: there is none to connect to ({servers!r})")
        current = normalise_servers(found)
        known = frozenset(current)

        def without_those_that_are_gone(book: _Book) -> _Book:
            if book.down.keys() <= known and book.doubted <= known:
                return book
            down = {server: down for server, down in book.down.items() if server in known}
            return replace(book, down=down, doubted=book.doubted & known)

        self._change(without_those_that_are_gone)
        return current

    def _choose(
        self, servers: tuple[Server, ...], able: tuple[Server, ...], leased_by_server: Callable[[], Mapping[Any, int]]
    ) -> Server:
        balance = self._config.balance
        if callable(balance):
            chosen = normalise_server(balance(tuple(dict.fromkeys(able)), leased_by_server()))
            if chosen not in able:
                raise ValueError(f"balance chose {chosen!r}, which is none of the servers it was given: {able!r}")
            return chosen
        if balance == "least_leased":
            leased = leased_by_server()
            fewest = min(leased.get(server, 0) for server in able)
            able = tuple(server for server in able if leased.get(server, 0) == fewest)
        if balance == "random":
            return able[int(self.draw() * len(able))]
        count = len(servers)

        def next_one(book: _Book) -> _Book:
            # The next in the full list, so that a server's absence does not double its neighbour's share.
            index = next(i for i in range(book.turn, book.turn + count) if servers[i % count] in able)
            return replace(book, turn=(index + 1) % count)

        return servers[(self._change(next_one)[1].turn - 1) % count]

    def _refused(self, server: Server, error: BaseException, fair: bool) -> None:
        first, longest = self._config.backoff
        now = self._clock()
        draw = self.draw()

        def noted(book: _Book) -> _Book:
            if not fair and server not in book.doubted:
                return replace(book, doubted=book.doubted | {server})
            down = book.down.get(server) or _Down(error, 0, now, now, True)
            refusals, until, hasty = down.refusals, down.until, down.hasty
            # Connects that were under way together and fail together are one refusal.
            if until <= now:
                limit = min(longest, first * 2 ** min(refusals, _DOUBLINGS))
                refusals, until, hasty = refusals + 1, now + limit * draw, True
            noted_down = _Down(error, refusals, down.since, until, hasty and not fair)
            return replace(book, down={**book.down, server: noted_down})

        before, after = self._change(noted)
        if server in after.down and server not in before.down:
            self._tell("server_down", server=server, error=error, duration=after.down[server].until - now)

    def _accepted(self, server: Server) -> None:
        def forgiven(book: _Book) -> _Book:
            if server not in book.down and server not in book.doubted:
                return book
            down = {other: down for other, down in book.down.items() if other != server}
            return replace(book, down=down, doubted=book.doubted - {server})

        before, after = self._change(forgiven)
        if server in before.down and server not in after.down:
            self._tell("server_up", server=server, duration=self._clock() - before.down[server].since)


def _something(connection: Any) -> Any:
    """The connection; TypeError for what a connect gives that has no ``return``."""
    if connection is None:
        raise TypeError("connect returned None instead of a connection: is there a `return` missing?")
    return connection


class _Trial:
    """One attempt to open a connection: server after server, until one accepts or none is left."""

    __slots__ = ("_began", "_connector", "_deadline", "_error", "_leased", "_patient", "_server", "_servers", "_tried")

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
        self._servers = connector._servers()
        self._tried: dict[Server, BaseException] = {}
        self._server: Server | None = None
        self._error: BaseException | None = None
        self._began = 0.0

    def next(self) -> tuple[Server | None, float | None]:
        """The server to ask now, and the seconds left; AllServersUnavailable (or the one server's own error)."""
        connector = self._connector
        if self._servers:
            resting = {server: state for server, state in connector.states().items() if state.retry_in > 0}
            able = tuple(s for s in self._servers if s not in self._tried and s not in resting)
            if self._patient:
                able = self._likely(able, resting)
            if not able or (self._tried and self._left() == 0.0):
                raise self._none_left(resting)
            self._server = connector._choose(self._servers, able, self._leased)
        self._began = connector._clock()
        connector._tell("connect_started", server=self._server)
        return self._server, self._left()

    def _likely(self, able: tuple[Server, ...], resting: Mapping[Server, ServerState]) -> tuple[Server, ...]:
        doubted = self._connector._book.value.doubted
        slow = (s for s in self._servers if s not in self._tried and s in resting and resting[s].hasty)
        return tuple(s for s in able if s not in doubted) or able or tuple(slow)

    def refused(self, error: Exception) -> bool:
        """Take note; True: ask the next one, False: raise this error."""
        connector, server = self._connector, self._server
        took = connector._clock() - self._began
        cut_off = isinstance(error, OutOfTime)
        remembered = echo(error)
        connector.last_error = remembered
        self._error = error
        if server is not None:
            self._tried[server] = remembered
            connector._refused(server, remembered, fair=took >= FAIR_TRIAL or not (cut_off or self._left() == 0.0))
        connector._tell("connect_failed", server=server, error=error, duration=took)
        return not cut_off and len(set(self._servers)) > 1

    def accepted(self) -> None:
        """The connection is open."""
        if self._server is not None:
            self._connector._accepted(self._server)

    def forget(self) -> None:
        """Let go of the error: it knows the frame that knows this trial."""
        self._error = None

    def _left(self) -> float | None:
        return None if self._deadline is None else max(self._deadline - self._connector._clock(), 0.0)

    def _none_left(self, resting: Mapping[Server, ServerState]) -> BaseException:
        servers = tuple(dict.fromkeys(self._servers))
        if len(servers) == 1:
            remembered = resting[servers[0]].error
            again = echo(remembered, 0)
            again.__cause__ = remembered
            return again
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
        failure.__cause__ = self._error or (None if last is None else echo(last))
        return failure
