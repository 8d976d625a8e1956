"""An HBase in memory behind a real Thrift socket, for tests and for trying things out."""

from __future__ import annotations

import os
import threading
from collections import Counter
from types import TracebackType
from typing import Any, Self

from ..arguments import seconds, whole
from .engine import Engine
from .process import Child
from .script import KINDS, Hold, Misbehaviour, Script
from .store import Store
from .wire import PROTOCOLS, TRANSPORTS, Wire


class HBaseServer:
    """An in-memory HBase that speaks the Thrift 1 interface on a loopback port.

    A context manager, or :meth:`start` and :meth:`stop`; after a stop, ``start()`` listens on the same port again and
    (unless ``process``) still has its tables. Needs the ``Hbase.thrift`` that comes with happybase.

    :param port: 0 takes a free one; :attr:`port` has it once the server runs.
    :param process: serve from a process of its own, which ends with this one, instead of from threads of this one.
    :param protocol: ``"binary"`` or ``"compact"``.
    :param transport: ``"buffered"`` or ``"framed"``.
    :param delay: seconds that each reply takes.
    :param max_workers: how many connections are served at once; more are accepted, and served when another ends
        (like ``hbase.thrift.maxWorkerThreads``). None: any number.
    :param read_timeout: seconds of silence after which a connection is closed (HBase: 60). None: never.
    :param gateway_to: another server whose tables this one serves, too, as one of several gateways to one HBase.
    :raises TypeError, ValueError: for a bad argument.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        process: bool = False,
        protocol: str = "binary",
        transport: str = "buffered",
        delay: float = 0.0,
        max_workers: int | None = None,
        read_timeout: float | None = None,
        gateway_to: HBaseServer | None = None,
    ) -> None:
        if not isinstance(host, str):
            raise TypeError(f"'host' must be a string, not {host!r}")
        if protocol not in PROTOCOLS:
            raise ValueError(f"'protocol' must be one of {', '.join(PROTOCOLS)}, not {protocol!r}")
        if transport not in TRANSPORTS:
            raise ValueError(f"'transport' must be one of {', '.join(TRANSPORTS)}, not {transport!r}")
        if read_timeout is not None and seconds("read_timeout", read_timeout) == 0:
            raise ValueError("'read_timeout' must be more than 0 s, or None for never")
        if gateway_to is not None and (process or gateway_to.process):
            raise ValueError("'gateway_to' needs both servers in this process: leave out process=True")
        self.host = host
        self.port = whole("port", port, 0, 65535)
        self.process: bool = bool(process)
        self.protocol = protocol
        self.transport = transport
        self.max_workers = None if max_workers is None else whole("max_workers", max_workers, 1)
        self.read_timeout = read_timeout
        self._delay = seconds("delay", delay)
        self._script = Script()
        self._store: Store = Store() if gateway_to is None else gateway_to._store
        self._engine: Engine | None = None
        self._child: Child | None = None
        self._running = False
        self._started_in = 0  # the process

    # Life

    def start(self) -> Self:
        """Listen and serve; RuntimeError if it is running already, OSError if the address cannot be had."""
        if self._running:
            raise RuntimeError(f"{self!r} is running already")
        self._started_in = os.getpid()
        if self.process:
            self._child = Child(self._settings())
            self.host, self.port = self._child.address
        else:
            if self._engine is None:
                wire = Wire(self.protocol, self.transport)
                self._engine = Engine(wire, self._script, self._store, self.max_workers, self.read_timeout)
            self._script.restart()
            self._script.set_delay(self._delay)
            self._engine.start(self.host, self.port)
            self.host, self.port = self._engine.address
        self._running = True
        return self

    def stop(self) -> None:
        """End all connections and the server; bounded, and without effect if it does not run.

        In a forked child, where a ``with`` block may be left, the server belongs to the parent and runs on.
        """
        if not self._running:
            return
        self._running = False
        if self._started_in != os.getpid():
            self._child = self._engine = None
        elif self._child is not None:
            self._child.stop()
        elif self._engine is not None:
            self._engine.stop()

    def __enter__(self) -> Self:
        return self if self._running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self._running else "stopped"
        where = " in a process of its own" if self.process else ""
        return f"<{type(self).__name__} {self.host}:{self.port} {self.protocol} {self.transport} {state}{where}>"

    def _settings(self) -> dict[str, Any]:
        names = ("host", "port", "protocol", "transport", "delay", "max_workers", "read_timeout")
        return {name: getattr(self, name) for name in names}

    # Counting

    @property
    def connections_opened(self) -> int:
        """How many connections were accepted so far."""
        return self._count("opened")

    @property
    def connections_open(self) -> int:
        """How many connections are open now. One whose client is gone counts until its held call, if any, is over."""
        return self._count("open")

    @property
    def calls(self) -> Counter[str]:
        """How often each method was called so far: a copy."""
        if self.process:
            return Counter(self._ask("count")["calls"])
        return Counter(self._engine.calls) if self._engine is not None else Counter()

    @property
    def open_scanners(self) -> int:
        """How many scanners clients opened and did not close (``process=False`` only)."""
        self._require_in_process("open_scanners")
        return self._engine.open_scanners if self._engine is not None else 0

    def wait_connections(self, count: int, timeout: float = 5.0) -> bool:
        """Wait up to ``timeout`` seconds until exactly ``count`` connections are open; say whether they are."""
        if self.process:
            return bool(self._ask("wait", count=count, timeout=timeout)["reached"])
        return self._require_engine().wait_connections(count, timeout)

    def _count(self, what: str) -> int:
        if self.process:
            return int(self._ask("count")[what])
        return int(getattr(self._engine, what)) if self._engine is not None else 0

    # Regions

    def split_region(self, table: str | bytes, key: str | bytes) -> None:
        """Split a region of ``table`` at ``key``, for all gateways to these tables; ValueError if one begins there.

        HBase's own IOError, as HBaseError, if there is no such table (``process=False`` only).
        """
        self._require_in_process("split_region")
        self._store.table(_key(table)).regions.split(_key(key))

    def move_region(self, table: str | bytes, row: str | bytes, host: str, port: int = 16020) -> None:
        """Move the region that has ``row`` to the region server at ``host``, which gateways then tell.

        A region that was never moved is told to be where the gateway is that is asked (``process=False`` only).
        """
        self._require_in_process("move_region")
        self._store.table(_key(table)).regions.move(_key(row), (host, port))

    # Trouble

    @property
    def delay(self) -> float:
        """Seconds that each reply takes; may be set at any time."""
        return self._delay

    @delay.setter
    def delay(self, delay: float) -> None:
        self._delay = seconds("delay", delay)
        self.slow(None, delay)

    def slow(self, method: str | None, delay: float) -> None:
        """Have each call of ``method`` (None: of any) take ``delay`` seconds; 0 ends it."""
        seconds("delay", delay)
        if not self.process:
            self._script.set_delay(delay, self._known(method))
        elif self._running:
            self._ask("slow", method=method, delay=delay)

    def drop_connections(self, *, reset: bool = False) -> int:
        """End all present connections from the server's side, with a reset instead of an end if ``reset``.

        They are gone when this returns. Returns their number.
        """
        if self.process:
            return int(self._ask("drop", reset=reset)["dropped"])
        return self._require_engine().drop(reset)

    def hold(self, method: str | None = None) -> Hold:
        """Let calls of ``method`` (None: of any) arrive, and hold them until ``release()`` of the returned object.

        ::

            hold = server.hold("getRow")
            …                                # something calls getRow
            hold.entered.wait(5)             # the call has arrived
            hold.release()                   # the reply is on its way when this returns
        """
        self._require_in_process("hold")
        return self._script.hold(self._known(method))

    def fail(self, method: str | None = None, *, message: str, times: int = 1) -> Misbehaviour:
        """Have the next ``times`` calls (of ``method``, if given) answered by HBase's IOError with this message.

        The calls have no other effect (``process=False`` only).
        """
        self._require_in_process("fail")
        return self._script.misbehave("io_error", self._known(method), whole("times", times, 1), None, message)

    def misbehave(
        self, kind: str, method: str | None = None, *, times: int = 1, until: threading.Event | None = None
    ) -> Misbehaviour:
        """Have the next ``times`` replies (to ``method``, if given) go wrong.

        ``kind`` is one of: ``wrong_seqid``, ``wrong_name`` (the reply bears another sequence id, or another method's
        name); ``extra_reply`` (the reply comes twice, in one piece), ``extra_reply_later`` (a second one comes at
        ``release()``); ``half_reply`` (half of it, then silence); ``late_reply`` (at ``release()``, or when the event
        ``until`` is set); ``close`` (the connection ends instead). The returned object has the event ``happened``.
        """
        self._require_in_process("misbehave")
        if kind not in KINDS:
            raise ValueError(f"'kind' must be one of {', '.join(KINDS)}, not {kind!r}")
        whole("times", times, 1)
        if until is not None and kind != "late_reply":
            raise ValueError(f"'until' goes with late_reply only, not with {kind}")
        return self._script.misbehave(kind, self._known(method), times, until)

    def _known(self, method: str | None) -> str | None:
        if method is not None and self._engine is not None and method not in self._engine.methods:
            raise ValueError(f"'method' must be one of HBase's Thrift methods (getRowWithColumns …), not {method!r}")
        return method

    def _require_in_process(self, what: str) -> None:
        if self.process:
            raise RuntimeError(f"HBaseServer.{what} needs the server in this process: leave out process=True")

    def _require_engine(self) -> Engine:
        if self._engine is None:
            raise RuntimeError(f"{self!r} was not started yet")
        return self._engine

    def _ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        if self._child is None or not self._running:
            raise RuntimeError(f"{self!r} is not running: call start() first")
        return self._child.ask(what, **arguments)


def _key(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
