"""A session that answers when the test says so, with the methods and the order of callbacks of the driver's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

PATIENCE = 20.0  # real seconds: a test that needs so long has failed
NOTHING = object()


class NoHostAvailable(Exception):
    """As the driver's, whose module imports all event loops that there are."""

    def __init__(self, message: str, errors: dict[Any, Exception]) -> None:
        super().__init__(message, errors)
        self.errors = errors


class Future:
    """A ResponseFuture: its result is set first, then its callbacks are called, in the order in which they came."""

    def __init__(self, query: Any, timeout: Any, host: Any, given: dict[str, Any]) -> None:
        self.query, self.timeout, self.host, self.given = query, timeout, host, given
        self.pages = 1
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._result: Any = NOTHING
        self._error: Exception | None = None
        self._callbacks: list[tuple[Callable[..., Any], Callable[..., Any]]] = []

    def add_callbacks(self, callback: Callable[..., Any], errback: Callable[..., Any]) -> None:
        with self._lock:
            self._callbacks.append((callback, errback))
            ended = self._done.is_set()
        if ended:
            self._call(callback, errback)

    def clear_callbacks(self) -> None:
        with self._lock:
            self._callbacks = []

    def answer(self, result: Any = None) -> None:
        self._end(result, None)

    def fail(self, error: Exception) -> None:
        self._end(NOTHING, error)

    def result(self) -> Any:
        assert self._done.wait(PATIENCE), "nobody has answered"
        if self._error is not None:
            raise self._error
        return self._result

    def start_fetching_next_page(self) -> None:
        self.pages += 1
        self._done.clear()

    def _end(self, result: Any, error: Exception | None) -> None:
        with self._lock:
            self._result, self._error = result, error
            self._done.set()
            told = list(self._callbacks)
        for callback, errback in told:
            self._call(callback, errback)

    def _call(self, callback: Callable[..., Any], errback: Callable[..., Any]) -> None:
        if self._error is None:
            callback(self._result)
        else:
            errback(self._error)


class Host:
    datacenter, rack, release_version = "dc1", "rack1", "5.0.2"

    def __init__(self, address: str, is_up: bool | None = True) -> None:
        self.address, self.is_up = address, is_up


class Metadata:
    def __init__(self) -> None:
        self.hosts = [Host("10.0.0.1"), Host("10.0.0.2"), Host("10.0.0.3")]

    def all_hosts(self) -> list[Host]:
        return list(self.hosts)


class Cluster:
    """Makes sessions; ``at_once=False``: each request waits for the test's answer."""

    def __init__(self, at_once: bool = False) -> None:
        self.at_once = at_once
        self.metadata = Metadata()
        self.sessions: list[Session] = []
        self.refuses: Exception | None = None

    def connect(self, keyspace: str | None = None) -> Session:
        if self.refuses is not None:
            raise self.refuses
        self.sessions.append(Session(self, keyspace))
        return self.sessions[-1]


class Session:
    default_timeout = 10.0

    def __init__(self, cluster: Cluster | None = None, keyspace: str | None = None) -> None:
        self.cluster = cluster or Cluster()
        self.keyspace = keyspace
        self.is_shutdown = False
        self.sent: list[Future] = []
        self.refuses: Exception | None = None
        self.most = 0
        self._running = 0
        self._arrived = threading.Condition()

    def execute_async(
        self, query: Any, parameters: Any = None, timeout: Any = None, host: Any = None, **given: Any
    ) -> Any:
        if self.refuses is not None:
            raise self.refuses
        future = Future(query, timeout, host, given)
        with self._arrived:
            self._running += 1
            self.most = max(self.most, self._running)
            self.sent.append(future)
            self._arrived.notify_all()
        future.add_callbacks(self._ended, self._ended)
        if self.cluster.at_once:
            future.answer([(query, parameters)])
        return future

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        return self.execute_async(query, *args, **kwargs).result()

    def prepare(self, query: str) -> str:
        return f"prepared {query}"

    def in_two(self, query: str) -> list[Any]:
        """A method of the session's that sends requests by others of its methods."""
        return [self.execute_async(f"{query} {part}") for part in (1, 2)]

    def set_keyspace(self, keyspace: str) -> None:
        self.keyspace = keyspace

    def shutdown(self) -> None:
        self.is_shutdown = True

    def get_pool_state(self) -> dict[Host, dict[str, Any]]:
        return {host: {"open_count": 1, "in_flights": [7]} for host in self.cluster.metadata.hosts if host.is_up}

    def await_sent(self, n: int) -> list[Future]:
        """Wait until so many requests were sent."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.sent) >= n, PATIENCE), f"{len(self.sent)} of {n} were sent"
        return self.sent

    def _ended(self, _: Any) -> None:
        with self._arrived:
            self._running -= 1
