"""The one session that all leases of a SessionPool share."""

from __future__ import annotations

import copy
import os
from inspect import iscoroutinefunction
from typing import Any

from ..._core import Cell, Post, Section
from ..._core.threads import start
from ..._errors import PoolError


class SharedSession:
    """The driver's session: given as it is, inside async-cassandra's wrapper, or made from a cluster at first use.

    TypeError for anything else.
    """

    def __init__(self, given: Any, keyspace: str | None) -> None:
        if keyspace is not None and not isinstance(keyspace, str):
            raise TypeError(f"keyspace must be a string or None, not {keyspace!r} ({type(keyspace).__name__})")
        self._keyspace = keyspace
        self._process = os.getpid()
        self._connecting = Section()
        self._open = Cell(True)
        self._session: Any = None
        self._cluster: Any = None
        self._given: Any = None
        self.wrapper: Any = None
        if isinstance(given, type):
            raise _neither(given)
        if callable(getattr(given, "execute_async", None)):
            self._given = given
        elif callable(getattr(getattr(given, "_session", None), "execute_async", None)):
            self.wrapper, self._given = given, given._session
        elif callable(getattr(given, "connect", None)):
            if iscoroutinefunction(given.connect):
                raise TypeError(
                    f"session_or_cluster is {given!r}, whose connect() must be awaited: "
                    "give the session, SessionPool(await cluster.connect())"
                )
            self._cluster = given
        else:
            raise _neither(given)

    @property
    def ready(self) -> bool:
        """Whether ``get`` returns without connecting."""
        return self._session is not None

    def get(self) -> Any:
        """The driver's session, connected now if necessary. Raises the driver's errors.

        PoolError in a forked child: the driver's event thread stayed in the parent.
        """
        if os.getpid() != self._process:
            raise PoolError(
                f"this SessionPool's session belongs to process {self._process}, and this is its child {os.getpid()}: "
                "the driver does not survive a fork; make the cluster and the pool after it"
            )
        if self._session is None:
            self._connecting.run(self._connect)
        return self._session

    def wrapped(self, leased: Any) -> Any:
        """async-cassandra's session, which sends through ``leased`` instead of the driver's session."""
        wrapper = copy.copy(self.wrapper)
        wrapper._session = leased
        return wrapper

    def end(self) -> None:
        """Shut down the session if it was made here; once."""
        if self._cluster is not None and self._session is not None and self._open.replace(True, False):
            self._session.shutdown()

    def end_behind(self) -> None:
        """Call ``end`` in a thread: the caller may be the driver's event thread, which a shutdown waits for."""
        start(Post(), "fastpool-cassandra-shutdown", self.end)

    def _connect(self) -> None:
        if self._session is not None:
            return
        if self._cluster is not None:
            self._session = self._cluster.connect() if self._keyspace is None else self._cluster.connect(self._keyspace)
            return
        if self._keyspace is not None and self._given.keyspace != self._keyspace:
            self._given.set_keyspace(self._keyspace)
        self._session = self._given


def _neither(given: Any) -> TypeError:
    return TypeError(
        "session_or_cluster must be a session or a cluster of cassandra-driver, or a session of async-cassandra, not "
        f"{given!r} ({type(given).__name__})"
    )
