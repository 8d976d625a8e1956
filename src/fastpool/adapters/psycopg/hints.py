"""Types of the arguments of psycopg_pool's drop-ins, for type checkers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, TypeVar

if TYPE_CHECKING:
    from psycopg import AsyncConnection as AsyncConnection
    from psycopg import Connection as Connection
    from psycopg.rows import TupleRow as TupleRow
    from typing_extensions import TypeVar as DefaultedTypeVar

    from ..._options import Address, Balance

    CT = DefaultedTypeVar("CT", bound="Connection[Any]", default="Connection[TupleRow]")
    ACT = DefaultedTypeVar("ACT", bound="AsyncConnection[Any]", default="AsyncConnection[TupleRow]")
else:
    CT = TypeVar("CT")
    ACT = TypeVar("ACT")

Conninfo: TypeAlias = str | Callable[[], str]
AsyncConninfo: TypeAlias = str | Callable[[], str] | Callable[[], Awaitable[str]]
Kwargs: TypeAlias = dict[str, Any] | Callable[[], dict[str, Any]]
AsyncKwargs: TypeAlias = dict[str, Any] | Callable[[], dict[str, Any]] | Callable[[], Awaitable[dict[str, Any]]]


class PoolArguments(TypedDict, total=False):
    """psycopg_pool's arguments by name, and fastpool's options."""

    min_size: int
    max_size: int | None
    open: bool | None
    name: str | None
    close_returns: bool
    timeout: float | None
    max_waiting: int
    max_lifetime: float | None
    max_idle: float
    reconnect_timeout: float
    reconnect_failed: Callable[[Any], object] | None
    num_workers: int
    # fastpool's
    order: Literal["lifo", "fifo"]
    max_overflow: int
    pool_max_idle: int | None
    nested: bool
    idle_timeout: float | None
    max_uses: int | None
    check_timeout: float | None
    check_after: float | None
    keepalive: float | None
    max_connecting: int
    servers: Sequence[Address] | Callable[[], Iterable[Address]] | None
    balance: Balance
    backoff: tuple[float, float]
    leak_after: float | None
    listeners: Iterable[object]
    timing: bool
    reclaim: bool
    collect_garbage: bool
    shared: str | None
    shared_max: int | None
