"""A pool's servers: which of them refuse, how long each is left alone, and which to ask next."""

from __future__ import annotations

from _random import Random
from collections.abc import Callable, Iterable, Mapping

from .._config import Config
from .._core import Cell
from .._errors import AllServersUnavailable
from .._light.hints import Any
from .._light.record import dataclass, replace
from .._servers import Server, normalise_server, normalise_servers

_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class ServerState:
    """The state of a server: refusals in a row, seconds until it may be tried again, and its last error."""

    refusals: int
    retry_in: float
    error: BaseException
    hasty: bool = False
    """Whether it is left alone only because an impatient caller's deadline ended a connect."""


@dataclass(frozen=True, slots=True)
class _Down:
    """A server that refused, and what is remembered of it until it accepts a connection again."""

    error: BaseException
    refusals: int
    since: float
    until: float
    hasty: bool


@dataclass(frozen=True, slots=True)
class _Book:
    """The state of a connector's servers. Replaced as a whole and never modified, so that no lock is needed."""

    down: Mapping[Server, _Down]
    doubted: frozenset[Server]
    turn: int  # whose turn it is, as an index into the list of servers


class ServerHealth:
    """The state of the servers of one pool, and whose turn it is.

    ``tell(name, **fields)`` passes events on; ``clock()`` gives monotonic seconds; ``rng`` draws pauses and servers.
    There is no lock: threads, signal handlers and finalizers may open connections at any moment.
    """

    __slots__ = ("_book", "_clock", "_config", "_rng", "_tell")

    def __init__(
        self, config: Config, tell: Callable[..., object], clock: Callable[[], float], rng: Random | None = None
    ) -> None:
        self._config = config
        self._tell = tell
        self._clock = clock
        self._rng = rng or Random()
        self._book = Cell(_Book({}, frozenset(), 0))

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
        """Begin anew in a forked child: with its own random numbers, and not in every child with the first server."""
        self._rng = Random()
        self._book = Cell(_Book({}, frozenset(), int(self.draw() * (1 << 16))))

    def _change(self, change: Callable[[_Book], _Book]) -> tuple[_Book, _Book]:
        """Replace the book by what ``change`` makes of it, called again if another was faster; both, old and new."""
        while True:
            old = self._book.value
            new = change(old)
            if new is old or self._book.replace(old, new):
                return old, new

    @property
    def doubted(self) -> frozenset[Server]:
        """The servers whose last connect was cut off by its caller's deadline."""
        return self._book.value.doubted

    def servers(self) -> tuple[Server, ...]:
        """The servers as they are now; AllServersUnavailable if a callable gives none. Forgets those that are gone."""
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

    def choose(
        self, servers: tuple[Server, ...], able: tuple[Server, ...], leased_by_server: Callable[[], Mapping[Any, int]]
    ) -> Server:
        """The one of ``able`` to ask, by ``balance``; ValueError if a callable ``balance`` gives none of them."""
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

    def refused(self, server: Server, error: BaseException, fair: bool) -> None:
        """Leave the server alone for a while; ``fair``: it had time enough, else it is only doubted at first."""
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

    def accepted(self, server: Server) -> None:
        """Forget what the server has refused."""

        def forgiven(book: _Book) -> _Book:
            if server not in book.down and server not in book.doubted:
                return book
            down = {other: down for other, down in book.down.items() if other != server}
            return replace(book, down=down, doubted=book.doubted - {server})

        before, after = self._change(forgiven)
        if server in before.down and server not in after.down:
            self._tell("server_up", server=server, duration=self._clock() - before.down[server].since)
