"""Types of the arguments of psycopg_pool's drop-ins, for type checkers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ..._options import InvariantOptions

if TYPE_CHECKING:
    from psycopg import AsyncConnection as AsyncConnection
    from psycopg import Connection as Connection
    from psycopg.rows import TupleRow as TupleRow
    from typing_extensions import TypeVar as DefaultedTypeVar

    CT = DefaultedTypeVar("CT", bound="Connection[Any]", default="Connection[TupleRow]")
    ACT = DefaultedTypeVar("ACT", bound="AsyncConnection[Any]", default="AsyncConnection[TupleRow]")
else:
    CT = TypeVar("CT")
    ACT = TypeVar("ACT")

Conninfo: TypeAlias = str | Callable[[], str]
AsyncConninfo: TypeAlias = str | Callable[[], str] | Callable[[], Awaitable[str]]
Kwargs: TypeAlias = dict[str, Any] | Callable[[], dict[str, Any]]
AsyncKwargs: TypeAlias = dict[str, Any] | Callable[[], dict[str, Any]] | Callable[[], Awaitable[dict[str, Any]]]


class PoolArguments(InvariantOptions, total=False):
    """psycopg_pool's arguments by name, and fastpool's options."""

    max_size: int | None
    open: bool | None
    close_returns: bool
    timeout: float | None
    max_waiting: int
    max_idle: float
    reconnect_timeout: float
    reconnect_failed: Callable[[Any], object] | None
    num_workers: int
    # fastpool's
    pool_max_idle: int | None
    nested: bool
