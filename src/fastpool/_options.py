"""The options of a pool as types, so that an editor knows them; docs/options.md says what each means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

Address: TypeAlias = str | tuple[str, int]
KeepOn: TypeAlias = type[BaseException] | Iterable[type[BaseException]]
Balance: TypeAlias = (
    Literal["round_robin", "random", "least_leased"]
    | Callable[[tuple[tuple[str, int], ...], Mapping[Any, int]], Address]
)


class PoolSizes(TypedDict, total=False):
    """The options that ``resize`` can change."""

    min_size: int
    max_size: int
    max_overflow: int
    max_idle: int | None
    shared_max: int | None


class InvariantOptions(TypedDict, total=False):
    """The options that have the same name, type and meaning in every pool, the drop-ins included."""

    min_size: int
    order: Literal["lifo", "fifo"]
    max_overflow: int
    max_lifetime: float | None
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
    name: str | None
    shared: str | None
    shared_max: int | None
    timing: bool
    reclaim: bool
    collect_garbage: bool


class CommonOptions(InvariantOptions, total=False):
    """The options that mean the same in every pool and drop-in but psycopg_pool's, which has its own of these names."""

    max_idle: int | None
    max_waiting: int | None
    open: bool


class PoolOptions(CommonOptions, total=False):
    """The options of :class:`fastpool.Pool` and :class:`fastpool.AsyncPool`, to be given by name."""

    max_size: int
    timeout: float | None
    nested: bool


PoolOptions.__module__ = "fastpool"
