"""Plain connections, and a loop whose call_soon is interrupted by signals: for tests of a task's wake-up."""

from __future__ import annotations

import asyncio
from typing import Any

import fastpool


class Connection:
    """A connection with nothing to close."""


async def opened() -> Connection:
    return Connection()


def made(**options: Any) -> fastpool.AsyncPool:
    return fastpool.AsyncPool(opened, **{"max_size": 1, "timeout": 30, **options})


class Struck(KeyboardInterrupt):
    """Raised by the simulated signal handler."""


class StruckLoop(asyncio.SelectorEventLoop):
    """A loop whose call_soon raises `Struck` before or after it has accepted a wake-up of fastpool's."""

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
