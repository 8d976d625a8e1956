"""Replaces a connection within its lease: for a retry, and after ``recycle`` operations."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..._errors import LeaseError
from ..._pool import Pool
from .driver import PycassaDriver
from .wrapper import ConnectionWrapper

if TYPE_CHECKING:
    from .owners import Owners


class Renewals(Pool[ConnectionWrapper]):
    """The part of the pool that its connections call."""

    driver: PycassaDriver
    _owners: Owners

    def reconnect(self, conn: ConnectionWrapper) -> None:
        """Open a new transport for ``conn`` under the same lease; AllServersUnavailable if no server accepts."""
        began = time.monotonic()
        new, server = self.connector.open(conn._entry, None, self._leased_by_server)
        old = conn._entry.server
        conn.adopt(new)
        try:
            self._exchange(conn._entry, conn, server, "error", time.monotonic() - began)
        except BaseException:
            conn.end()
            raise
        self._tell("closed_connection", server=old, connection=None, reason="error")
        self.driver.tell("connection_checked_out", "debug", connection=conn)

    def replace_recycled(self, conn: ConnectionWrapper) -> None:
        """Replace ``conn``, which is being returned, by a new connection; if none can be opened, only close it."""
        began = time.monotonic()
        entry = conn._entry
        if self.share is not None:
            conn.end()  # first: the new connection has the old one's permit, and the server never sees both
        try:
            new, server = self.connector.open(entry, None, self._leased_by_server)
        except Exception:
            entry.taint()  # the failure was reported, and the next caller may connect in this place
            return
        old_server = entry.server
        try:
            self._exchange(entry, new, server, "max_uses", time.monotonic() - began)
        except BaseException:
            new.end()
            raise
        self.driver.tell("connection_recycled", "debug", old_conn=conn, new_conn=new)
        conn._quiet = True
        conn.end()
        self.driver.tell("connection_disposed", "debug", connection=conn, message="recyling connection")
        self._tell("closed_connection", server=old_server, connection=conn, reason="max_uses")

    def forsake(self, conn: ConnectionWrapper) -> None:
        """Free the place of ``conn``, which has failed for good. If a block holds it, the end of the block does so."""
        if self.driver.use_threadlocal:
            self._owners.here.let_go(conn)
        try:
            self.checkin(conn, discard=True)
        except LeaseError:
            pass
