"""A pool whose connections are sockets to a server that records everything it receives, for programs that fork.

The server runs in the first process. It answers each line with the same line; it notes, for each connection, every line
and how the connection ended.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import fastpool


class EchoServer:
    """Echoes lines; ``heard`` has one list of lines for each connection, ``ended`` which of them are over."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = self.listener.getsockname()
        self.heard: list[list[bytes]] = []
        self.ended: set[int] = set()
        self._asks, self._answers = socket.socketpair()
        self._begun: dict[int, bytes] = {}  # of each connection, the line that has no end yet
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        ready = selectors.DefaultSelector()
        ready.register(self.listener, selectors.EVENT_READ, self._accept)
        ready.register(self._answers, selectors.EVENT_READ, lambda: self._answers.send(self._answers.recv(1)))
        self._ready = ready
        while True:
            for key, _ in ready.select():
                key.data()

    def _accept(self) -> None:
        peer, _ = self.listener.accept()
        number = len(self.heard)
        self.heard.append([])
        self._begun[number] = b""
        self._ready.register(peer, selectors.EVENT_READ, lambda: self._hear(peer, number))

    def _hear(self, peer: socket.socket, number: int) -> None:
        try:
            some = peer.recv(65536)
        except OSError:
            some = b""
        if not some:
            self.ended.add(number)
            self._ready.unregister(peer)
            peer.close()
            return
        *lines, self._begun[number] = (self._begun[number] + some).split(b"\n")
        for line in lines:
            self.heard[number].append(line + b"\n")
            with contextlib.suppress(OSError):
                peer.sendall(line + b"\n")

    def settle(self) -> None:
        """Wait until everything sent to it so far, also an end of file, has been noted."""
        for _ in range(2):  # the first answer may come in the middle of a round of others
            self._asks.send(b"?")
            assert self._asks.recv(1) == b"?"

    def unfinished(self) -> list[int]:
        """The connections that have sent part of a line."""
        return [number for number, begun in self._begun.items() if begun]


class Client:
    """A connection that sends a goodbye and shuts the socket down when closed or destroyed, as thriftpy2 does."""

    def __init__(self, address: Any) -> None:
        # A numeric address given to connect() itself. create_connection asks getaddrinfo, whose first call imports
        # encodings.idna: in a child forked while another thread of the parent did that, the import waits for ever.
        self.socket = socket.socket()
        self.socket.settimeout(10)
        self.socket.connect(address)
        self.lines = self.socket.makefile("rb")

    def ask(self, what: str) -> None:
        line = f"{os.getpid()} {what}\n".encode()
        self.socket.sendall(line)
        answer = self.lines.readline()
        assert answer == line, (answer, line)

    def fileno(self) -> int:
        return self.socket.fileno()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.sendall(f"{os.getpid()} goodbye\n".encode())
            self.socket.shutdown(socket.SHUT_RDWR)
        self.lines.close()
        self.socket.close()

    __del__ = close


def pool_on(server: EchoServer, **options: Any) -> fastpool.Pool:
    return fastpool.Pool(lambda: Client(server.address), **{"max_size": 4, "timeout": 10, **options})


def in_child(work: Callable[[], None]) -> int:
    """Fork; the child runs ``work`` and leaves by os._exit(0), or 1 with a traceback. The child's pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    os._exit(code)


def ended_well(pid: int, seconds: float = 20.0, code: int = 0) -> None:
    """Wait for a child, with a time limit; whether it ended with 0."""
    if not _ends(pid, seconds):
        os.kill(pid, signal.SIGABRT)
        os.waitpid(pid, 0)
        raise AssertionError(f"the child still ran after {seconds} s")
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert ended == code, f"the child ended with {ended}"


def _ends(pid: int, seconds: float) -> bool:
    """Sleep until the child has ended, because polling by two hundred generations would slow all of them down."""
    if hasattr(os, "pidfd_open"):
        end = os.pidfd_open(pid)
        try:
            watch = select.poll()
            watch.register(end, select.POLLIN)
            return bool(watch.poll(seconds * 1000))
        finally:
            os.close(end)
    deadline = time.monotonic() + seconds
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def untouched(server: EchoServer, pid: int, connections: int) -> None:
    """The first ``connections`` connections received from ``pid`` only, and none of them has ended."""
    server.settle()
    assert server.unfinished() == []
    strangers = [line for lines in server.heard[:connections] for line in lines if not line.startswith(b"%d " % pid)]
    assert strangers == [], f"the child wrote on the parent's connections: {strangers}"
    assert not server.ended & set(range(connections)), "the child ended a connection of the parent"
