"""A native checkin resets the connection, whatever else its driver does at the end of a block."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import fastpool
from tests.core.native import load

if sys.platform == "win32":
    pytest.skip("the test extension runs on POSIX threads", allow_module_level=True)
user = load("_native_user", "tests/_native_user.pyx")


class Connection:
    """A connection; `resets` counts its resets."""

    resets = 0


class Resetting(fastpool.Driver[Connection]):
    """Counts the resets."""

    def connect(self, server: Any, timeout: float | None) -> Connection:
        return Connection()

    def close(self, c: Connection) -> None:
        pass

    def reset(self, c: Connection) -> None:
        c.resets += 1


class EndingToo(Resetting):
    """Ends blocks, which a native checkout does not have."""

    def end_block(self, c: Connection, exc: BaseException | None) -> None:
        raise AssertionError("there is no block")


@pytest.mark.parametrize("kind", [Resetting, EndingToo])
def test_each_native_checkin_resets(kind: type[Resetting]) -> None:
    with fastpool.Pool(driver=kind(), max_size=1) as pool:
        native, held = user.Native(pool), user.Held()
        for resets in range(3):
            assert native.checkout(held, 1) == ("ok", "")
            assert native.connection(held).resets == resets
            assert native.checkin(held) == "ok"
        native.close()
