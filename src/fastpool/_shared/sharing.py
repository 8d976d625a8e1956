"""A pool's part in its shared name: join, watch, give up what others wait for, write its figures, leave."""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from collections import Counter

from .._core import SHARED_BITS, SHARED_LAYOUT, Post, clock
from .._core.threads import start
from .._light.hints import TYPE_CHECKING
from .._light.log import logger
from .._servers import server_text
from .._telemetry.holder import info_of
from .._telemetry.report import stats_of
from . import folder, joining
from .figures import Oldest, packed, unpacked

if TYPE_CHECKING:
    from .._core import Core, SharedMember

_GIVE_UP, _FIGURES, _LEFT, _ASKED = SHARED_BITS
_ROOM = SHARED_LAYOUT[4]
_MOST_NAMED = 10  # processes in an error
_program = os.path.basename(sys.argv[0] if sys.argv and sys.argv[0] else sys.executable) or "python"
_members: weakref.WeakSet[Share] = weakref.WeakSet()


class Share:
    """A pool's part in its shared name: its row, and the thread that watches the page."""

    at_exit = False  # of all: the process ends, and has left its pages
    __slots__ = ("__weakref__", "_pool", "_post", "_since", "_where", "name", "member")

    def __init__(self, pool: Core, name: str, cap: int | None, again: bool) -> None:
        self.name = name
        self._since = time.time()
        self._where = folder.path()
        self._post = Post()
        self.member: SharedMember = joining.join(name, cap, again)
        self._pool = weakref.ref(pool, self._dropped)
        self.member.serve(pool)
        _members.add(self)

    def start(self) -> None:
        """See that the page is watched; RuntimeError if no thread can be started."""
        if not self._post.held:
            start(self._post, "fastpool-shared", self._watch)

    @property
    def running(self) -> bool:
        """Whether the watcher's thread is there."""
        return self._post.held

    def _dropped(self, _: object) -> None:
        """The pool was collected, and its connections with it. At the interpreter's end modules are gone by then."""
        if not self.at_exit:
            self.leave()

    def leave(self) -> None:
        """Give up the row; the last one removes the page."""
        if self.member.mine:
            joining.leave(self.member, self.name, self._where)

    def has_page_of(self, other: Share | None) -> bool:
        """Whether both have rows in one page."""
        return other is not None and (self.name, self._where) == (other.name, other._where)

    # ---- the watcher's thread

    def _watch(self) -> None:
        while True:
            try:
                what = self.member.watch()
                pool = self._pool()
                if what & _LEFT or pool is None or sys.is_finalizing():
                    return
                self._tend(pool, what)
                del pool
            except BaseException as error:  # the processes that wait must not be left to a log handler
                logger.warn_safely("the watcher of shared name %r goes on after an error: %r", self.name, error)
                time.sleep(0.01)

    def _tend(self, pool: Core, what: int) -> None:
        if what & _FIGURES:
            self.publish(pool)
            pool._sweep_closes()
            if pool.closed and not self.member.holding:
                self.leave()
                return
        if what & _GIVE_UP:
            keeping = pool.keeping
            if keeping is None:
                pool._give_up_idle()
            else:
                keeping.order("give_up")
        if what & _ASKED:
            from .leases import answer  # here, because hardly any process is ever asked

            answer(pool, self._where, folder.file_name(self.name), self.member.number, self.member.asked)

    # ---- figures

    def publish(self, pool: Core) -> None:
        """Write down what the pool has, for other processes."""
        leases = pool._leases()
        servers = Counter(server_text(lease[1]) for lease in leases if lease[1] is not None)
        oldest = None
        if leases:
            row = min(leases, key=lambda row: row[6])
            server = None if row[1] is None else server_text(row[1])
            info = info_of(row, clock())
            # Two clocks, read one after the other: rounded, the row says the same each time, and is not read again.
            oldest = Oldest(round(time.time() - info.age_s, 2), info.owner, server)
        self.member.write(packed(_program, self._since, stats_of(pool), servers, oldest, _ROOM))

    def leased_elsewhere(self) -> Counter[str]:
        """How many leases the other pools of the name have, by server as text."""
        total: Counter[str] = Counter()
        for number, *_ in self.member.holders():
            if number != self.member.number:
                row = self.member.read(number)
                found = None if row is None else unpacked(number, *row)
                if found is not None:
                    total.update(found.process.servers)
        return total

    def explain(self) -> str:
        """The holders of the permits, as a line of an error."""
        cap, held = self.member.cap, Counter[tuple[int, bool, int]]()
        if cap is None:
            return ""
        holders = self.member.holders()
        here = {process for number, _, process, _ in holders if number == self.member.number}
        for _, pid, process, permits in holders:
            held[process, process in here, pid] += permits  # a pid alone may be that of two, in namespaces of their own
        holding = [(pid, mine, count) for (_, mine, pid), count in held.most_common() if count]
        named = [f"pid {pid}{' (this one)' if mine else ''}: {count}" for pid, mine, count in holding[:_MOST_NAMED]]
        if len(holding) > _MOST_NAMED:
            named.append(f"and {len(holding) - _MOST_NAMED} more processes")
        by = f" ({', '.join(named)})" if named else ""
        return f"shared {self.name!r}: {sum(held.values())} of {cap} connections of all processes are held{by}."


def _at_exit() -> None:
    """The last process removes the page; its connections end with it, and so do its permits."""
    Share.at_exit = True
    shares = [share for share in list(_members) if share.member.mine]
    for share in shares:
        rows = frozenset(one.member.number for one in shares if one.name == share.name)
        joining.remove_if_unused(share.member, share.name, share._where, rows)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_members.clear)
