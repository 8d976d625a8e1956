"""A driver whose methods may be coroutine functions: a connection lives in the event loop it was opened in."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

from .._core import loop_of_thread, running_task
from .._driver import Driver
from .._light.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

Loop = asyncio.AbstractEventLoop

_GLANCE_S = 0.5  # how often a waiter for a loop checks that the loop still runs


def _cancel(future: Future[Any], loop: Loop) -> None:
    if not loop.is_closed():  # then there is nothing to cancel, and concurrent.futures would log a traceback
        future.cancel()


class LoopDriver(Driver[Any]):
    """Wraps a driver whose methods may be coroutine functions: each call is made in the connection's own loop."""

    def __init__(self, inner: Driver) -> None:
        self.inner = inner
        self.tracks_calls = inner.tracks_calls
        self.exhausted_error = inner.exhausted_error
        self.deadlock_error = inner.deadlock_error
        self.closed_error = inner.closed_error
        self.overloaded_error = inner.overloaded_error
        self.is_clean = inner.is_clean  # type: ignore[method-assign]
        self.is_reset = inner.is_reset  # type: ignore[method-assign]
        self.exhausted_message = inner.exhausted_message
        self.size_option = inner.size_option
        self.rounds = inner.rounds
        self.fileno = inner.fileno  # type: ignore[method-assign]  # called at every checkout and checkin
        self.homes: dict[int, tuple[Any, Loop]] = {}  # id(connection) -> (connection, loop it was opened in)
        self.loops: weakref.WeakSet[Loop] = weakref.WeakSet()  # in which connections were ever opened
        # id(connection) -> (connection, the loop that another thread has asked to close it)
        self.handed: dict[int, tuple[Any, Loop]] = {}
        self.behind: set[asyncio.Task[None]] = set()  # connects that go on without their callers
        self.under_way: dict[asyncio.Future[Any], Any] = {}  # closes in their loops -> the connection
        self.closing: set[asyncio.Future[Any]] = set()  # so that a close under way is not collected
        self.inherited: list[Any] = []  # what the parent process was closing
        self.over: Callable[[], object] = _nothing  # called once for each connection, when its close has returned

    def __getstate__(self) -> dict[str, Any]:
        return {"inner": self.inner}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["inner"])  # type: ignore[misc]

    def open_entry(self, entry: Any, server: Any, timeout: float | None) -> Any:
        """Give what ``connect`` gives: a connection or an awaitable of one."""
        return self.inner.open_entry(entry, server, timeout)

    def end_block(self, c: Any, exc: BaseException | None) -> Any:
        """Give what the inner driver's gives, to be awaited in the loop of ``c``."""
        return self.inner.end_block(c, exc)

    def usable(self, c: Any, exc: BaseException) -> bool:
        """Ask the inner driver."""
        return self.inner.usable(c, exc)

    def blames_server(self, error: Exception) -> bool:
        """Ask the inner driver."""
        return self.inner.blames_server(error)

    def none_left(self, error: BaseException) -> BaseException:
        """Ask the inner driver."""
        return self.inner.none_left(error)

    def abandon(self, c: Any) -> None:
        """Forget an inherited connection; its loop is the parent's."""
        self.homes.pop(id(c), None)
        self.inner.abandon(c)

    def ping(self, c: Any, timeout: float | None) -> bool:
        """Ping from the keeper's thread, in the loop of ``c``; True, without a ping, if that loop is not running."""
        loop = self.homes[id(c)][1]
        if loop.is_closed():
            return False
        if not loop.is_running():
            return True
        future = asyncio.run_coroutine_threadsafe(settled(self.inner.ping, c, timeout), loop)
        try:
            return bool(future.result(timeout if timeout is not None else 30.0))
        finally:
            _cancel(future, loop)

    def close(self, c: Any) -> None:
        """Close ``c`` in its own loop, soon; with that loop closed the inner driver does what it can without one."""
        _, loop = self.homes.pop(id(c), (c, None))
        if self.tracks_calls:
            self.inner.close(c)  # a socket's close: it does not wait, and needs no loop
            return
        if loop is None:
            self.over()
            return
        if loop.is_closed():
            self._end_without_loop(c)
        elif loop_of_thread() is loop:
            self._close_here(c)
        else:
            self.handed[id(c)] = c, loop
            try:
                loop.call_soon_threadsafe(self._close_here, c)
            except RuntimeError:
                self._dropped(c)  # it was closed this very moment

    def _dropped(self, c: Any) -> None:
        if self.handed.pop(id(c), None) is not None:
            self._end_without_loop(c)

    def _end_without_loop(self, c: Any) -> None:
        try:
            self.inner.close_without_loop(c)
        except Exception as error:
            logger.warning("close of a connection without its loop failed: %r", error, exc_info=error)
        finally:
            self.over()

    def forget_parents(self) -> None:
        """In a forked child: the loops are the parent's, and only look as if they ran; its connections are kept."""
        self.behind.clear()
        self.loops.clear()
        self.inherited.append((self.handed, self.under_way, self.closing))
        self.handed, self.under_way, self.closing = {}, {}, set()

    def drop_homeless(self) -> None:
        """End what was handed to loops that have been closed since, or was being closed there."""
        for c, loop in list(self.handed.values()):
            if loop.is_closed():
                self._dropped(c)
        for task, c in list(self.under_way.items()):
            if task.get_loop().is_closed() and self.under_way.pop(task, None) is not None:
                self.closing.discard(task)
                self._end_without_loop(c)

    def fill(self, opening: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
        """Open one more, for the keeper: in the loop of some connection that is open, or was, if one runs.

        False: none runs, or it stopped meanwhile; ask again. Only this pool waits for a loop that is busy.
        """
        open_in = [loop for _, loop in list(self.homes.values())]
        loop = next((loop for loop in [*open_in, *list(self.loops)] if loop.is_running()), None)
        if loop is None:
            return False
        work = opening()
        try:
            future = asyncio.run_coroutine_threadsafe(work, loop)
        except RuntimeError:
            work.close()  # the loop was closed this very moment
            return False
        while not wait((future,), _GLANCE_S).done:
            if not loop.is_running():
                _cancel(future, loop)
                return False
        return False if future.cancelled() else future.result()

    def stop_connecting(self, here: Loop) -> None:
        """Cancel the connects of this loop that go on without their callers: nobody will want what they open."""
        for task in list(self.behind):
            if task.get_loop() is here:
                task.cancel()

    def _close_here(self, c: Any) -> None:
        self.handed.pop(id(c), None)
        task = self.run_here(self.closed(c))
        self.under_way[task] = c
        task.add_done_callback(self._close_is_over)

    def _close_is_over(self, task: asyncio.Future[Any]) -> None:
        if self.under_way.pop(task, self) is not self:
            self.over()

    def run_here(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of the running loop, which the pool waits for when it is closed there."""
        task = asyncio.get_running_loop().create_task(work)
        self.closing.add(task)
        task.add_done_callback(self.closing.discard)
        return task

    async def closed(self, c: Any) -> None:
        """Close ``c`` in the running loop; what that raises is logged."""
        self.homes.pop(id(c), None)
        try:
            await settled(self.inner.close, c)
        except Exception as error:
            logger.warning("close of a connection failed: %r", error, exc_info=error)


def _nothing() -> None:
    pass


async def settled(call: Callable[..., Any], *args: Any) -> Any:
    """Call, and await what comes if it is awaitable."""
    result = call(*args)
    return await result if inspect.isawaitable(result) else result


def was_cancelled() -> bool:
    """Whether the current task was cancelled; else a CancelledError comes from what the driver awaited."""
    task = running_task()
    return task is None or task.cancelling() > 0
