"""The keeper's helpers: threads for the jobs that may block; more are started while jobs hang, idle ones end.

One helper is enough while each job is short. If the first job in the queue waits for longer than a moment, the helpers
hang, and one more is started, then two, four, eight: however many pools hang, the others are less than a second late.
"""

from __future__ import annotations

import time

from .._core import KEEPER_POST, Desk, Post
from .._core.threads import WakeEvent, leave_hub, start
from .._light.hints import TYPE_CHECKING
from .._light.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Job
    from .kept_pool import KeptPool

LOOK = "look"  # the kind of job that finds out what is due; known to the core, too

_MOMENT_S = 0.05  # a job that waits for longer than this needs another helper
_PACE_S = 0.02  # from one doubling to the next
_AGAIN_S = 1.0  # between a thread that could not be started and the next attempt
_LONG_S = 3600.0
_REST_S = 5.0  # a helper without work for this long ends


def log_refusal(what: str, error: Exception) -> None:
    """Log that no thread could be started, but not if the interpreter is ending: nobody can do anything then."""
    if "interpreter shutdown" in str(error):
        return
    try:  # here, as no other thread can be had for it
        logger.warning("keeper: %s: %s", what, error)
    except Exception:
        pass  # a log handler that raises must not harm the pools, or a checkout that has its connection


class Helper(WakeEvent):
    """A thread that does jobs, and the event that wakes it."""

    __slots__ = ("post",)

    def __init__(self, post: Post) -> None:
        super().__init__()
        self.post = post


class Crew:
    """The queue of jobs, and the helpers.

    There is no lock, as in the keeper: an exception raised at any line costs a thread or a moment, and no job.
    ``do(job)`` does one, and says when to look at its entry again; it raises nothing. ``wake()`` wakes the keeper.
    """

    def __init__(self, do: Callable[[Job[KeptPool]], float | None], wake: Callable[[], None]) -> None:
        self.desk: Desk[KeptPool] = Desk()
        self._do, self._wake = do, wake
        self._helpers: dict[Post, Helper] = {}
        self._resting: dict[Post, Helper] = {}
        self._more = 1  # how many helpers are started next
        self._not_before = 0.0  # and not before this, in real seconds
        self._refused = False

    def put(self, kept: KeptPool, kind: str) -> None:
        """Have a job done, unless it is waiting or in hand."""
        if self.desk.put(kept, kind, time.monotonic()) and not self._call_one():
            self._wake()

    def _call_one(self) -> bool:
        """Wake a resting helper; False: there is none."""
        while True:
            try:
                _, helper = self._resting.popitem()
            except KeyError:
                return False
            if helper.post.held:  # else it ended while it rested
                helper.set()
                return True

    # ---- the keeper's part

    def supervise(self) -> float:
        """Start helpers if jobs wait for long; the seconds after which to look again."""
        desk, now = self.desk, time.monotonic()
        desk.sweep(now)
        missing = desk.waiting
        while missing and self._call_one():
            missing -= 1
        if not missing:
            self._more = 1
            return _PACE_S if desk.waiting else _LONG_S
        if now < self._not_before:
            return self._not_before - now
        helpers = self._helpers = {post: helper for post, helper in self._helpers.items() if post.held}
        if helpers and desk.waited(now) < _MOMENT_S:
            return _PACE_S
        self._not_before = now + _PACE_S
        # One helper looks at pools, which takes no time.
        for _ in range(min(missing, self._more, desk.blocking + 1 - len(helpers))):
            try:
                self._start_one()
            except Exception as error:
                self._not_before = now + _AGAIN_S
                self._say_once(error)
                break
            self._refused = False
        self._more *= 2
        return self._not_before - now

    def _start_one(self) -> None:
        helper = Helper(Post(self.desk.ended, self._wake))
        self._helpers[helper.post] = helper
        start(helper.post, "fastpool-helper", lambda: self._work(helper))

    def _say_once(self, error: Exception) -> None:
        if not self._refused:
            self._refused = True
            log_refusal("no thread could be started for what is due, tried again each second", error)

    def dismiss(self) -> None:
        """There will be no more jobs: resting helpers may end."""
        while self._call_one():
            pass

    # ---- a helper's part

    def _work(self, helper: Helper) -> None:
        desk, post = self.desk, helper.post
        while True:
            job = desk.take(post)
            if job is not None:
                desk.done(post, self._do(job))
                self._wake()
            elif not self._rest(helper):
                leave_hub()
                return

    def _rest(self, helper: Helper) -> bool:
        """Wait for a job; False: there will be none."""
        self._resting[helper.post] = helper
        if self.desk.waiting or not KEEPER_POST.held:
            self._resting.pop(helper.post, None)
            return self.desk.waiting > 0
        # A thread that takes this helper out of the resting ones has a job for it.
        return helper.wait(_REST_S) or self._resting.pop(helper.post, None) is None
