"""Connections without anything to them, and a loop whose call_soon is struck by signals: for tests of a task's wake."""

from __future__ import annotations

import asyncio
from typing import Any

import fastpool


class Connection:
    """Nothing to close."""


async def opened() -> Connection:
    return Connection()


def made(**options: Any) -> fastpool.AsyncPool:
    return fastpool.AsyncPool(opened, **{"max_size": 1, "timeout": 30, **options})


class Struck(KeyboardInterrupt):
    """A signal handler's."""


class StruckLoop(asyncio.SelectorEventLoop):
    """Its call_soon is interrupted, before or after it has taken a wake-up of fastpool's."""

    strike: str | None = None

    def call_soon(self, callback: Any, *args: Any, **kwargs: Any) -> Any:
        strike = None
        if "<resumes: " in repr(callback):
            strike, self.strike = self.strike, None
        if strike == "before":
            raise Struck
        handle = super().call_soon(callback, *args, **kwargs)
        if strike == "after":
            raise Struck
        return handle
