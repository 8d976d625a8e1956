"""The keys of `fastpool top`: each one arrives, Escape too, and its thread sleeps while none is pressed."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("textual")
pytest.importorskip("termios", reason="the keys are read by another driver on Windows")

import fcntl
import pty
import termios

from fastpool._cli import top_keys
from fastpool._cli.top_keys import KeysDriver
from tests.shared._party import PATIENCE, Party, wait_until


class Typed:
    """A driver whose terminal is a pipe, and its thread."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.looks: list[float | None] = []
        self.driver = KeysDriver.__new__(KeysDriver)  # without the terminal that its parents want
        self.driver.fileno, self._keyboard = os.pipe()
        self.driver._ended, self.driver._end = os.pipe()
        self.driver.exit_event = threading.Event()
        self.driver.process_message = self.told.append  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self.driver.run_input_thread)

    def begin(self) -> None:
        self._thread.start()

    def press(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def keys(self) -> list[str]:
        return [event.key for event in self.told]

    def end(self) -> None:
        """As textual does it: tell the thread, and wait for it."""
        os.write(self.driver._end, b"\0")
        self.driver.exit_event.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        for fd in (self.driver.fileno, self._keyboard, self.driver._ended, self.driver._end):
            os.close(fd)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Typed]:
    found = Typed()
    look = select.select

    def counted(fds: list[int], writing: list[int], failing: list[int], patience: float | None = None) -> Any:
        if found.driver.fileno in fds:
            found.looks.append(patience)
        return look(fds, writing, failing, patience)

    monkeypatch.setattr(select, "select", counted)
    monkeypatch.setattr(top_keys, "_AWAKE_S", 0.3)
    found.begin()
    yield found
    found.end()


def test_the_thread_sleeps_until_a_key_is_pressed(typed: Typed) -> None:
    wait_until(lambda: typed.looks and typed.looks[-1] is None)
    typed.press(b"a")
    wait_until(lambda: typed.keys() == ["a"])
    wait_until(lambda: typed.looks[-1] is None)
    assert len(typed.looks) < 20, "a few looks after each key"


def test_an_escape_is_told_without_another_key(typed: Typed) -> None:
    wait_until(lambda: typed.looks and typed.looks[-1] is None)
    typed.press(b"\x1b")
    wait_until(lambda: typed.keys() == ["escape"])
    typed.press(b"\x1b[A")
    wait_until(lambda: typed.keys() == ["escape", "up"])


def test_textuals_own_thread_does_it_where_textual_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_keys, "_PARSER", None)
    typed = Typed()
    monkeypatch.setattr(typed.driver, "_debug", False, raising=False)
    typed.begin()
    typed.press(b"a\x1b")
    wait_until(lambda: typed.keys() == ["a", "escape"])
    typed.end()


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_keys_in_a_terminal(party: Party) -> None:
    worker = party.worker(shared_max=5)
    worker.do("take()")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 180, 0, 0))
    command = [sys.executable, "-m", "fastpool", "top", "--interval", "0.2"]
    env = {**os.environ, "TERM": "xterm"}
    screen = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    try:
        until_shown(ours, str(worker.pid))
        os.write(ours, b"\r")
        until_shown(ours, "1 leases")
        os.write(ours, b"\x1b")
        until_shown(ours, "oldest lease")
        screen.send_signal(signal.SIGTSTP)  # as Ctrl-Z in a shell
        until_shown(ours, "\x1b[?1049l")
        wait_until(lambda: Path(f"/proc/{screen.pid}/stat").read_text().split()[2] == "T")
        screen.send_signal(signal.SIGCONT)
        until_shown(ours, "oldest lease")
        os.write(ours, b"q")
        until_shown(ours, "\x1b[?1049l")
        assert screen.wait(PATIENCE) == 0
    finally:
        screen.kill()
        screen.wait(PATIENCE)
        os.close(ours)
        os.close(theirs)


def until_shown(terminal: int, text: str) -> None:
    """Read what is drawn until this is."""
    shown, until = "", time.monotonic() + PATIENCE
    while text not in shown:
        assert time.monotonic() < until, f"{text!r} is never shown, but {shown!r}"
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace")
