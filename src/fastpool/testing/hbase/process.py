"""An HBase Thrift server in a process of its own, as its parent sees it.

Parent and child exchange lines of JSON over the child's stdin and stdout. The end of stdin, which comes when the
parent dies in any way, ends the child.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from ..._core import Section

_START_WITHIN = 30.0
_ANSWER_WITHIN = 15.0


class Child:
    """The parent's end: a server running in a process of its own."""

    def __init__(self, settings: dict[str, Any]) -> None:
        root = str(Path(__file__).resolve().parents[3])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fastpool.testing.hbase.child", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="fastpool-hbase-child", daemon=True)
        self._reader.start()
        self._section = Section()
        self._numbers = itertools.count()
        self._arrived: dict[int | None, dict[str, Any]] = {}
        try:
            self.address: tuple[str, int] = tuple(self._answer(None, _START_WITHIN)["address"])
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Send the child a request and return its answer; RuntimeError if it is gone or does not answer."""
        number = next(self._numbers)
        line = json.dumps({"do": what, "number": number, **arguments}) + "\n"
        try:
            self._section.run(self._write, line)
        except OSError as error:
            raise RuntimeError(f"The HBaseServer process {self.pid} is gone: {error}") from error
        return self._section.run(self._answer, number, _ANSWER_WITHIN)

    def stop(self) -> None:
        """End the child, by force if it does not end by itself; within a few seconds at most."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _answer(self, number: int | None, timeout: float) -> dict[str, Any]:
        """The answer to the request with this number; skips the answers to requests that were interrupted."""
        while number not in self._arrived:
            try:
                line = self._answers.get(timeout=timeout)
            except queue.Empty:
                raise RuntimeError(f"The HBaseServer process {self.pid} has not answered for {timeout:g} s") from None
            if not line:
                code = self._process.wait(10)
                raise RuntimeError(f"The HBaseServer process {self.pid} ended with code {code}; its stderr says why")
            arrived: dict[str, Any] = json.loads(line)
            self._arrived[arrived.pop("number", None)] = arrived
        answer = self._arrived.pop(number)
        if "error" in answer:
            raise OSError(answer["errno"], answer["error"])
        return answer
