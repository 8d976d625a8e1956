"""Threads of a pool's own, for the calls of a synchronous driver that are made for tasks, and may block.

They are started when they are needed, are real ones also where gevent or eventlet has patched threading, and end when
nobody has needed them for a moment.
"""

from __future__ import annotations

import functools
from collections import deque

from .._core import Post
from .._core.threads import WakeEvent, leave_hub, start
from .._light.hints import TYPE_CHECKING
from .._light.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._base import BasePool

CLOSING = 4
ENDING = 32  # ends of leases whose reset may block; each has a slot of its own, so there is no fear of many that hang
REST_S = 2.0  # a worker without a job for so long ends


class Workers:
    """At most so many threads, and what is to be done by them.

    There is no lock: what is shared is changed by single operations of dicts and deques, so that a signal handler or a
    finalizer that comes in between, and whatever it raises, costs a moment and no job.
    """

    __slots__ = ("_jobs", "_most", "_posts", "_resting")

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: deque[Callable[[], None]] = deque()
        self._posts: dict[int, Post] = {}
        self._resting: deque[WakeEvent] = deque()  # of the workers that sleep

    def do(self, job: Callable[[], None]) -> bool:
        """Have a worker call ``job``; False: all are busy, so the first that is done will.

        RuntimeError if there is none and no thread can be started: then it is not called.
        """
        self._jobs.append(job)
        try:
            return self._call_one()
        except Exception:
            if self.count:
                return False
            try:
                self._jobs.remove(job)
            except ValueError:
                return True  # a worker has it
            raise

    @property
    def count(self) -> int:
        """How many workers there are, those included that rest."""
        return sum(post.held for post in list(self._posts.values()))

    def _call_one(self) -> bool:
        try:
            event = self._resting.pop()
        except IndexError:
            return self._start_one()
        event.set()
        return True

    def _start_one(self) -> bool:
        for number in range(self._most):
            post = self._posts.get(number) or self._posts.setdefault(number, Post())
            if not post.held:
                start(post, "fastpool-worker", functools.partial(self._work, post))
                return True
        return False

    def _work(self, post: Post) -> None:
        event = WakeEvent()
        while True:
            try:
                job = self._jobs.popleft()
            except IndexError:
                if self._rest(event):
                    continue
                break
            try:
                self._call_another()
                job()
            except BaseException as error:  # a job hands on what the driver raises: this is something else
                logger.warn_safely("a worker of a pool goes on after an error: %r", error)
            del job
        leave_hub()
        post.resign()
        self._call_another()  # for a caller that saw this thread still there

    def _call_another(self) -> None:
        """Call another worker for the remaining jobs: their callers may have counted on this thread."""
        if self._jobs:
            try:
                self._call_one()
            except Exception:
                pass  # no more threads can be started: those that there are will come to it

    def _rest(self, event: WakeEvent) -> bool:
        """Sleep until there may be a job; False: nobody has called for long."""
        self._resting.append(event)
        try:
            return bool(self._jobs) or event.wait(REST_S)
        finally:
            try:
                self._resting.remove(event)
            except ValueError:
                pass  # the caller that took the event has a job


class Staff:
    """The workers of one pool."""

    __slots__ = ("behind", "closing", "connecting", "ending")

    def __init__(self, max_connecting: int) -> None:
        self.connecting = Workers(max_connecting)
        self.behind = Workers(max_connecting)  # connects without their callers, for which no check must wait
        self.closing = Workers(CLOSING)
        self.ending = Workers(ENDING)


def staff_of(pool: BasePool) -> Staff:
    """The threads of a pool's own."""
    staff: Staff = pool.staff.get(1) or pool.staff.setdefault(1, Staff(pool.config.max_connecting))
    return staff
