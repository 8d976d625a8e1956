"""Where the rows of tables are: the regions of each table, as HBase tells them, and the gateways on their hosts."""

from __future__ import annotations

import ipaddress
import os
import socket
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..._core import Cell, clock
from ..._core.greenlets import pause
from ..._servers import Server

# What HBase's errors say of a region that is not where the gateway thought; the names of Java classes.
_SIGNS = (
    "NotServingRegionException",
    "RegionMovedException",
    "RegionOpeningException",
    "RegionOfflineException",
    "RegionServerAbortedException",
    "RegionServerStoppedException",
    "UnknownRegionException",
    "WrongRegionException",
)
# A table that has no regions, or for which nobody answered, is asked for again after so many seconds.
AGAIN_S = 1.0
# Where errors come in thousands, there are so many seconds between two looks at a table.
BETWEEN_S = 0.1
# Without ``refresh`` a host's addresses hold for so many seconds.
_RESOLVED_S = 60.0


def says_moved(error: BaseException) -> bool:
    """Whether an error says that a region has moved, was split, or is not served where it was."""
    message = getattr(error, "message", None)
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message or error)
    return any(sign in text for sign in _SIGNS)


def addresses_of(host: str) -> frozenset[str]:
    """The addresses that a host's name stands for; none if it cannot be resolved."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(_plain(info[4][0]) for info in found)


def _plain(address: Any) -> str:
    text = str(address).partition("%")[0]  # without the zone of a link-local one
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return text
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


class Known(NamedTuple):
    """The known regions of one table. Never changed, only replaced."""

    starts: tuple[bytes, ...]  # the first key of each region, ascending
    ends: tuple[bytes, ...]  # the first key behind each region; b"": it has no end
    gateways: tuple[tuple[int, ...], ...]  # the numbers of the gateways on each region's host
    due: float  # when to look again
    doubted: bool = False  # an error has said that it is not so any more

    @property
    def is_due(self) -> bool:
        """Whether it is time to look again."""
        return self.due <= clock()

    def find(self, row: bytes) -> tuple[int, ...]:
        """The gateways on the host that has ``row``: none where there is none, or no region of this row is known."""
        number = bisect_right(self.starts, row) - 1
        if number < 0 or (self.ends[number] and row >= self.ends[number]):
            return ()
        return self.gateways[number]


_NOTHING = Known((), (), (), 0.0)


class Regions:
    """The regions of the tables that were asked for, looked up in the background and kept.

    ``ask(table)`` gives HBase's list of a table's regions, or raises. ``do(job)`` has a job done by somebody else.
    ``refresh``: how many seconds what was found holds; None: until an error says otherwise.

    There is no lock: what is shared is changed by single operations, and a table's entry is replaced as a whole.
    """

    def __init__(
        self,
        gateways: tuple[Server, ...],
        refresh: float | None,
        ask: Callable[[bytes], Iterable[Any]],
        do: Callable[[Callable[[], None]], object],
    ) -> None:
        self._gateways = gateways
        self._refresh = refresh
        self._ask = ask
        self._do = do
        self._known: dict[bytes, Known] = {}
        self._looks: dict[bytes, float] = {}  # when the last look at each table began
        self._hosts: dict[str, tuple[float, frozenset[str]]] = {}
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Forget who was looking: that is the parent's thread. What is known stays."""
        self._pid = os.getpid()
        self._wanted: dict[bytes, None] = {}
        self._looking = Cell(False)

    def known(self, table: bytes) -> Known | None:
        """The known regions of a table; None if nobody has looked yet."""
        return self._known.get(table)

    def heard(self, error: BaseException) -> None:
        """Look at all tables at once if ``error`` says that a region has moved."""
        if says_moved(error):
            for table, known in list(self._known.items()):
                self._known[table] = known._replace(due=clock(), doubted=True)
                self.look(table)

    def look(self, table: bytes) -> bool:
        """Have somebody look where the table's regions are now, in the background; False: somebody is at it."""
        if self._pid != os.getpid():
            self.reset_after_fork()
        self._wanted[table] = None
        return self._have_it_done()

    def _have_it_done(self) -> bool:
        if not self._looking.replace(False, True):
            return False
        try:
            self._do(self._work)
        except BaseException as error:
            self._looking.replace(True, False)
            if not isinstance(error, Exception):
                raise  # else no thread could be started; the next caller tries again
            return False
        return True

    def _work(self) -> None:
        try:
            while self._wanted:
                try:
                    table, _ = self._wanted.popitem()
                except KeyError:
                    break  # a fork in between
                self._look_at(table)
        finally:
            self._looking.replace(True, False)
            if self._wanted:
                self._have_it_done()  # somebody asked just before it was said that nobody looks

    def _look_at(self, table: bytes) -> None:
        wait = self._looks.get(table, -BETWEEN_S) + BETWEEN_S - clock()
        if wait > 0:
            pause(min(wait, BETWEEN_S))
        self._looks[table] = clock()
        try:
            found = list(self._ask(table))
        except Exception:
            # Nobody answers: what was known stays, and is asked for again soon.
            old = self._known.get(table, _NOTHING)
            self._known[table] = old._replace(due=clock() + self._soon(), doubted=False)
            return
        self._known[table] = self._understood(found)

    def _soon(self) -> float:
        return AGAIN_S if self._refresh is None else min(AGAIN_S, self._refresh)

    def _understood(self, found: list[Any]) -> Known:
        # While a region is split, its daughters may be told beside it: the youngest holds.
        by_start = {info.startKey or b"": info for info in sorted(found, key=lambda info: info.id or 0)}
        starts = tuple(sorted(by_start))
        regions = [by_start[start] for start in starts]
        holds = float("inf") if self._refresh is None else self._refresh
        mine = [self._addresses(host) for host, _ in self._gateways]
        return Known(
            starts,
            tuple(info.endKey or b"" for info in regions),
            tuple(self._on_host(info.serverName, mine) for info in regions),
            clock() + (holds if regions else self._soon()),
        )

    def _on_host(self, name: bytes | str | None, mine: list[frozenset[str]]) -> tuple[int, ...]:
        if not name:
            return ()  # the region is on its way
        there = self._addresses(name.decode("utf-8", "replace") if isinstance(name, bytes) else name)
        return tuple(number for number, here in enumerate(mine) if here & there)

    def _addresses(self, host: str) -> frozenset[str]:
        """The addresses of a host, not older than ``refresh``; the last ones if it cannot be resolved any more."""
        found = self._hosts.get(host)
        if found is None or found[0] <= clock():
            fresh = addresses_of(host)
            holds = (self._refresh or _RESOLVED_S) if fresh else self._soon()
            last = found[1] if found is not None else fresh
            found = self._hosts[host] = clock() + holds, fresh or last
        return found[1]
