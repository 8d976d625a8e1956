"""`servers`: an engine's connections go to several servers; the URL says all but the host and the port."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Dialect

SERVER = "fastpool_server"  # in a record's record_info: the (host, port) that its connections go to


def listen_to(dialect: Any) -> None:
    """Have this dialect connect where the record's server is.

    A pool without an engine has no dialect, and an engine may have a ``creator``: these read the server from
    ``record.record_info["fastpool_server"]`` themselves.
    """
    if isinstance(dialect, Dialect) and not event.contains(dialect, "do_connect", _go_to_server):
        event.listen(dialect, "do_connect", _go_to_server)


def _go_to_server(dialect: Any, record: Any, cargs: Any, cparams: dict[str, Any]) -> None:
    server = None if record is None else record.record_info.get(SERVER)
    if server is not None:
        cparams["host"], cparams["port"] = server
