"""A TCP proxy that makes trouble on request."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from ..._core import Section
from ..arguments import seconds, whole
from ..news import News
from ..sockets import listen, reset_on_close
from .orders import HeldReplies, Order
from .relay import Faults, Relay

logger = logging.getLogger("fastpool.testing")

_WITHIN = 5.0


class FaultProxy:
    """Stands before a server on a loopback port of its own, and does to connections what a test asks for.

    ::

        with HBaseServer() as server, FaultProxy(server) as proxy:
            pool = ConnectionPool(1, host=proxy.host, port=proxy.port)
            proxy.reset()        # … and every connection is gone, until proxy.heal()

    A fault is in effect when its method returns, and lasts until :meth:`heal` unless the method says otherwise. Several
    faults may be in effect at once. All end with the ``with`` block, or with :meth:`close`.

    :param server: anything with ``host`` and ``port`` (looked at for every new connection), or a ``(host, port)``.
    :raises TypeError: for anything else.
    """

    def __init__(self, server: Any, *, host: str = "127.0.0.1", port: int = 0) -> None:
        if not (hasattr(server, "host") and hasattr(server, "port")) and not (
            isinstance(server, tuple) and len(server) == 2 and isinstance(server[0], str) and isinstance(server[1], int)
        ):
            raise TypeError(f"'server' must have a host and a port, or be (host, port), not {server!r}")
        self.host = host
        self.port = port
        self._target = server
        self._faults = Faults()
        self._held: HeldReplies | None = None
        self._changed = News()
        self._relays: set[Relay] = set()
        self._opened = 0
        self._orders: deque[Order] = deque()
        self._ordering = Section()
        self._taking_orders = False
        self._thread: threading.Thread | None = None
        self._started_in = 0  # the process
        self._stopping = False

    # Life

    def start(self) -> Self:
        """Listen and pass on; RuntimeError if it is running already, OSError if the address cannot be had."""
        if self._thread is not None:
            raise RuntimeError(f"{self!r} is running already")
        self._listener: socket.socket = listen(self.host, self.port, backlog=1024)
        self._listening = True
        self.host, self.port = self._listener.getsockname()[:2]
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._faults, self._stopping, self._taking_orders = Faults(), False, True
        self._started_in = os.getpid()
        self._thread = threading.Thread(target=self._run, name=f"fastpool-faults-{self.port}", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """End all connections and the proxy; bounded, and may be repeated. ``start()`` takes the same port again.

        In a forked child, where a ``with`` block may be left, the proxy belongs to the parent and runs on.
        """
        thread = self._thread
        if thread is None:
            return
        if self._started_in != os.getpid():
            self._thread = None
            return
        try:
            if self._taking_orders:
                self._do(self._stop)
        finally:
            thread.join(_WITHIN)
            self._thread = None
            self._wake_writer.close()

    def __enter__(self) -> Self:
        return self if self._thread is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._thread is None else "listening" if self._listening else "refusing"
        return f"<{type(self).__name__} {self.host}:{self.port} → {self._address()} {state} {self._faults}>"

    # Faults

    def refuse(self) -> None:
        """Refuse new connections; present ones go on. The port stays ours."""
        self._do(self._unlisten)

    def hang(self) -> None:
        """Accept connections and pass nothing on, also on present ones. heal() passes on what has piled up."""
        self._set(hang=True)

    def reset(self) -> None:
        """Reset the present connections, and each new one as soon as it is accepted."""
        self._set(reset=True, then=lambda: self._end_all(reset=True))

    def drop_connections(self) -> int:
        """End the present connections, once; new ones are served. Gives their number."""
        ended: list[int] = []
        self._do(lambda: ended.append(self._end_all(reset=False)))
        return ended[0]

    def half_close(self) -> None:
        """Shut down the sending side towards the present clients, and keep reading from them; once."""
        self._do(self._half_close_all)

    def dribble(self, interval: float = 0.0005) -> None:
        """Pass replies on byte by byte, ``interval`` seconds apart."""
        self._set(dribble=seconds("interval", interval))

    def delay(self, delay: float) -> None:
        """Pass replies on ``delay`` seconds late."""
        self._set(delay=seconds("delay", delay))

    def cut_after(self, count: int) -> None:
        """End each connection once ``count`` more bytes of reply have passed on it."""
        self._set(cut_after=whole("count", count, 0))

    def hold_replies(self) -> HeldReplies:
        """Hold replies back until ``release()``, of the proxy or of the object returned."""
        held = HeldReplies(self.release)
        self._held = held
        self._set(hold=True)
        return held

    late_reply = hold_replies

    def release(self) -> None:
        """Pass held replies on; they are on their way when this returns."""
        self._held = None
        self._set(hold=False)

    def server_gone(self) -> None:
        """Behave as if the server had died: the present connections end, and new ones are refused."""
        self._do(self._go)

    def server_back(self) -> None:
        """End :meth:`server_gone`; an alias of :meth:`heal`."""
        self.heal()

    def heal(self) -> None:
        """End all faults: listen on the same port, and pass on everything, including what has piled up."""
        self._held = None
        self._do(self._heal)

    # Counting

    @property
    def connections_opened(self) -> int:
        """How many connections were accepted so far."""
        return self._opened

    @property
    def connections_open(self) -> int:
        """How many connections are open now."""
        return len(self._relays)

    def wait_connections(self, count: int, timeout: float = 5.0) -> bool:
        """Wait up to ``timeout`` seconds until exactly ``count`` connections are open; say whether they are."""
        return self._changed.wait_for(lambda: len(self._relays) == count, timeout)

    # Calls from other threads, made in the proxy's own

    def _set(self, then: Callable[[], object] = lambda: None, **faults: Any) -> None:
        def change() -> None:
            self._faults = replace(self._faults, **faults)
            for relay in self._relays:
                if "cut_after" in faults:
                    relay.cut_left = faults["cut_after"]
            then()

        self._do(change)

    def _do(self, order: Callable[[], object]) -> None:
        given = Order(order)
        self._ordering.run(self._give, given)
        if not given.done.wait(_WITHIN):
            raise RuntimeError(f"{self!r} has not done as it was told within {_WITHIN:g} s")
        if given.error is not None:
            raise given.error

    def _give(self, given: Order) -> None:
        if not self._taking_orders:
            raise RuntimeError(f"{self!r} is not running: use it as a context manager, or call start() first")
        self._orders.append(given)
        self._wake_writer.send(b"x")

    def _take_no_more(self) -> None:
        self._taking_orders = False
        self._wake_reader.close()
        while self._orders:
            self._orders.popleft().done.set()

    def _end_all(self, reset: bool) -> int:
        self._accept()  # connections in the listener's queue are present ones, too
        present = list(self._relays)
        for relay in present:
            relay.end(reset)
        return len(present)

    def _half_close_all(self) -> None:
        self._accept()
        for relay in self._relays:
            relay.half_close()

    def _go(self) -> None:
        self._unlisten()
        self._end_all(reset=False)

    def _unlisten(self) -> None:
        if self._listening:
            self._accept()
            self._selector.unregister(self._listener)
            self._listener.close()
            # Bound and not listening: connections are refused, and the port stays ours.
            self._listener = listen(self.host, self.port, backlog=None)
            self._listening = False

    def _heal(self) -> None:
        self._faults = Faults()
        for relay in self._relays:
            relay.heal()
        if not self._listening:
            self._listener.listen(1024)
            self._selector.register(self._listener, selectors.EVENT_READ)
            self._listening = True

    def _stop(self) -> None:
        self._stopping = True

    # The proxy's thread

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        finally:
            for relay in list(self._relays):
                relay.end(reset=False)
            self._listener.close()
            self._selector.close()
            self._ordering.run(self._take_no_more)

    def _turn(self) -> None:
        touched = {key.data for key, _ in self._selector.select(self._patience()) if key.data is not None}
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(4096)
        if self._listening:
            self._accept()
        orders = list(self._orders)
        for order in orders:
            order.carry_out()
        now = time.monotonic()
        for relay in list(self._relays) if orders else [*touched, *self._overdue(now)]:
            if relay in self._relays:
                self._move(relay, now)
        for order in orders:
            self._orders.popleft()
            order.error = order.failure
            order.done.set()

    def _patience(self) -> float | None:
        if self._faults.hang:
            return None
        due = min((due for relay in self._relays if (due := relay.due(self._faults)) is not None), default=None)
        return None if due is None else max(0.0, due - time.monotonic())

    def _overdue(self, now: float) -> list[Relay]:
        return [relay for relay in self._relays if (due := relay.due(self._faults)) is not None and due <= now]

    def _move(self, relay: Relay, now: float) -> None:
        if relay.wants_server and not self._faults.hang:
            relay.connect(self._address())
        taken = relay.move(self._faults, now)
        held = self._held
        if taken and held is not None:
            held.entered.set()

    def _accept(self) -> None:
        while self._listening:
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                logger.warning("FaultProxy cannot accept a connection", exc_info=True)
                return
            self._opened += 1
            if self._faults.reset:
                reset_on_close(client)
                client.close()
                continue
            relay = Relay(client, self._selector, self._forget)
            relay.cut_left = self._faults.cut_after
            self._relays.add(relay)
            self._changed.tell()
            self._move(relay, time.monotonic())

    def _forget(self, relay: Relay) -> None:
        self._relays.discard(relay)
        self._changed.tell()

    def _address(self) -> tuple[str, int]:
        target = self._target
        return target if isinstance(target, tuple) else (target.host, target.port)
