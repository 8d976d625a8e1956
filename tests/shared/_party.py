"""Processes that share a name, and a server that counts the connections that are open at each moment.

The server counts when a connection comes: how many are open by then, without those that the peer has closed. A close
over the loopback has arrived before the peer's next connect, so that is what "never more, not for a moment" is about.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fastpool

PATIENCE = 20.0
STOPS = hasattr(signal, "SIGSTOP")
ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = str(Path(fastpool.__file__).parent.parent)  # so the workers have the same fastpool as the tests
WORKER = Path(__file__).with_name("_worker.py")


class CountingServer:
    """Greets each connection with a byte, answers each byte with one, and counts; `most` were open at once."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.most = self.accepted = 0
        self.over: list[tuple[float, int]] = []  # when more than `cap` were open
        self.cap = 1 << 30
        self._open: set[socket.socket] = set()
        self._ends = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def open(self) -> int:
        """How many are open now."""
        return sum(not _gone(c) for c in list(self._open))

    def close(self) -> None:
        self._ends = True
        self._thread.join(PATIENCE)
        for c in [self._listener, *self._open]:
            c.close()

    def _serve(self) -> None:
        while not self._ends:
            ready, _, _ = select.select([self._listener, *self._open], [], [], 0.05)
            for c in ready:
                if c is not self._listener:
                    self._answer(c)
            if self._listener in ready:
                self._accept()

    def _answer(self, c: socket.socket) -> None:
        try:
            data = c.recv(4096)
            c.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._open.discard(c)
            c.close()

    def _accept(self) -> None:
        c, _ = self._listener.accept()
        for one in [one for one in self._open if _gone(one)]:
            self._open.discard(one)
            one.close()
        self._open.add(c)
        self.accepted += 1
        self.most = max(self.most, len(self._open))
        if len(self._open) > self.cap:
            self.over.append((time.monotonic(), len(self._open)))
        try:
            c.sendall(b"+")
        except OSError:
            self._open.discard(c)


def _gone(c: socket.socket) -> bool:
    try:
        return c in select.select([c], [], [], 0)[0] and c.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):  # reset, or closed
        return True


def connect(port: int) -> socket.socket:
    """Connect to a CountingServer; its greeting says that it has counted the connection."""
    c = socket.create_connection(("127.0.0.1", port))
    assert c.recv(1) == b"+"
    return c


class Worker:
    """A process of `_worker.py`."""

    def __init__(self, port: int, folder: Path, /, *, within: tuple[str, ...] = (), **options: Any) -> None:
        """``within``: a command that runs the worker."""
        self.process = subprocess.Popen(
            [*within, sys.executable, "-X", "faulthandler", str(WORKER), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SOURCE, "FASTPOOL_SHARED_DIR": str(folder)},
        )
        self._said: queue.Queue[str] = queue.Queue()  # lines, and "" at the end
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        if options:
            said = self.do(f"global pool; pool = make(**{options!r})")
            assert said is None, said

    @property
    def pid(self) -> int:
        return self.process.pid

    def do(self, program: str) -> Any:
        """Have these statements executed; what they leave in `answer`."""
        self.tell(program)
        return self.answer()

    def get(self, expression: str) -> Any:
        """Have this expression evaluated."""
        return self.do(f"answer = {expression}")

    def tell(self, program: str) -> None:
        """Have it executed, without waiting for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(program) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """The next answer."""
        try:
            line = self._said.get(timeout=PATIENCE * 2)
        except queue.Empty:
            raise AssertionError(f"worker {self.pid} says nothing") from None
        assert line, f"worker {self.pid} has ended: {self.process.wait(PATIENCE)}"
        return json.loads(line)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as said:  # a child that it has forked may keep the other end
            for line in said:
                self._said.put(line)
        self._said.put("")

    def kill(self) -> None:
        """End it at once, wherever it is."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self._close_input()

    def _close_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def stop(self) -> None:
        """Stop it, as Ctrl-Z does; the test is skipped where there is nothing like it."""
        if not STOPS:
            pytest.skip("this system stops no processes")
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        if STOPS:
            os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        if self.process.poll() is None:
            self.go_on()
            self.kill()
        self._close_input()


class Party:
    """A server, a folder for the page, and the workers of a test."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.server = CountingServer()
        self._workers: list[Worker] = []

    def worker(self, **options: Any) -> Worker:
        """One more process; with a pool if there are options (but for `within`)."""
        worker = Worker(self.server.port, self.folder, **options)
        self._workers.append(worker)
        return worker

    def connection(self) -> socket.socket:
        """A connection of the test's own, counted by the server."""
        return connect(self.server.port)

    def left(self) -> list[str]:
        """The files that are left when all is over. On Windows nobody can remove a page that is mapped: who drops a
        pool does, or the next who opens one."""
        if sys.platform == "win32":
            gc.collect()
            fastpool.Pool(object, close=id, shared="of party.left()").close()
            until = time.monotonic() + PATIENCE
            while any(self.folder.iterdir()) and time.monotonic() < until:
                gc.collect()
                time.sleep(0.01)  # its watcher's thread ends
        return [entry.name for entry in self.folder.iterdir()]

    def close(self) -> None:
        for worker in self._workers:
            worker.end()
        self.server.close()


def wait_until(true: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait until this holds; what it gives. AssertionError if it never does."""
    until = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.002)
    return found
