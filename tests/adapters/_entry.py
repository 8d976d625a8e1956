"""An Entry in plain Python, without a pool: what the guarded client uses of one, with one lease at a time."""

from __future__ import annotations

from typing import Any

from fastpool._errors import LeaseError


class FakeEntry:
    """``lease()`` and ``give_back()`` do the pool's part; the other members are those that a driver sees of a real
    Entry."""

    def __init__(self) -> None:
        self.index = 0
        self.driver_data: Any = None
        self.epoch = 0
        self.held = False
        self.busy = False
        self.tainted = False
        self.needs_reset = False
        self.renew = False
        self.renewals = 0

    def lease(self) -> None:
        assert not self.held
        self.held = True
        self.epoch += 1

    def give_back(self) -> None:
        assert self.held
        self.held = False
        self.epoch += 1

    def replaced(self) -> None:
        self.busy = self.tainted = self.needs_reset = self.renew = False

    def inner_block_ends(self) -> None:
        self.renew = self.renew or self.busy or self.tainted

    @property
    def fit(self) -> bool:
        """Whether a checkin now would keep the connection."""
        return not self.busy and not self.tainted

    def begin_call(self) -> None:
        if not self.held:
            raise LeaseError("nobody holds it")
        if self.busy:
            raise LeaseError("another call is under way")
        self.busy = True

    def end_call(self) -> None:
        self.busy = False

    def taint(self, desync: bool = False) -> None:
        self.tainted = True

    def fence(self, epoch: int) -> None:
        if not self.held or epoch != self.epoch:
            raise LeaseError("the lease is over")

    def renewed(self) -> None:
        self.busy = self.tainted = self.renew = False
        self.renewals += 1
