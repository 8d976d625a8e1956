"""Measure whole operations of the client: its processor time for a row, a put, a batch, a scanned row, a counter.

Both sides take turns, against the embedded server in a process of its own, over loopback: the time that the system
takes to send and to receive is in it. The least of the rounds counts, as everything else only adds to it. The garbage
collector runs: what it has to look at is a part of what an operation makes. Older objects are kept out of its sight.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from itertools import repeat
from typing import Any

from .findings import Finding, Target
from .ratios import Cycles, Effort, least

_TABLE = "operations"
_CELLS = {b"f:column-%02d" % i: b"v" * 20 for i in range(10)}
_ROWS = {b"row": _CELLS} | {b"scanned-%05d" % i: _CELLS for i in range(2000)}
QUESTION = "operations"
PROTOCOLS = ("binary", "compact")
MODELS = {"threads": "happybase", "tasks": "aiohappybase"}
"""The models of concurrency, and the library of each."""
OPERATIONS = {"row": 100, "put": 100, "batch of 20 rows": 5, "scan of 2,000 rows": 1, "counter": 100}
"""How often each is done in one round."""

# At most so much of the library's time, as the codec promises: here as how many times ours theirs is.
_TARGETS = {
    ("threads", "binary", "scan of 2,000 rows"): Target(8.3),
    ("threads", "compact", "scan of 2,000 rows"): Target(33),
    ("tasks", "binary", "row"): Target(8.3),
    ("tasks", "binary", "scan of 2,000 rows"): Target(50),
}


def what_of(name: str, model: str, protocol: str) -> str:
    """The text of the finding about an operation, in a model of concurrency and a protocol."""
    return f"{MODELS[model]}: {name} in {model}, {protocol}"


def answers(effort: Effort) -> Iterator[Finding]:
    """One finding for each model of concurrency, protocol and operation."""
    rounds = max(3, effort.rounds // 2)
    for protocol in PROTOCOLS:
        for model, ours, both in (("threads", "fastpool", _threads), ("tasks", "fastpool.aio", _tasks)):
            library = MODELS[model]
            try:
                for module in (ours, library):
                    import_module(module)
            except ImportError as error:
                yield Finding(QUESTION, f"{library}, {protocol}", ours, missing=str(error))
                continue
            with (
                served(protocol, _TABLE, _ROWS) as server,
                both(library, server, protocol) as theirs,
                both(ours, server, protocol) as o,
            ):
                for name, times in OPERATIONS.items():
                    yield _compared(model, protocol, name, o[name], theirs[name], rounds, times)


def _compared(model: str, protocol: str, name: str, ours: Cycles, theirs: Cycles, rounds: int, times: int) -> Finding:
    best_ours, best_theirs = least(ours, theirs, rounds=rounds, cycles=times)
    return Finding(
        QUESTION,
        what_of(name, model, protocol),
        "the same in fastpool",
        best_theirs / best_ours,
        target=_TARGETS.get((model, protocol, name)),
        figures={"ours_ns": best_ours, "theirs_ns": best_theirs, "rounds": rounds},
    )


@contextmanager
def served(protocol: str, table: str | bytes, rows: Mapping[bytes, Any]) -> Iterator[Any]:
    """The embedded server, in a process of its own, with a table of these rows of family ``f``."""
    import happybase

    from ...testing import HBaseServer

    with HBaseServer(process=True, protocol=protocol) as server:
        connection = happybase.Connection(server.host, server.port, protocol=protocol)
        connection.create_table(table, {"f": {}})
        with connection.table(table).batch() as batch:
            for row, cells in rows.items():
                batch.put(row, cells)
        connection.close()
        yield server


@contextmanager
def _threads(module: str, server: Any, protocol: str) -> Iterator[dict[str, Cycles]]:
    pool = import_module(module).ConnectionPool(1, host=server.host, port=server.port, protocol=protocol)

    def batch(table: Any) -> None:
        with table.batch() as filling:
            for i in range(20):
                filling.put(b"batch-%d" % i, _CELLS)

    def scan(table: Any) -> None:
        for _ in table.scan(row_prefix=b"scanned"):
            pass

    def repeated(use: Callable[[Any], object]) -> Cycles:
        def operation(n: int) -> None:
            for _ in repeat(None, n):
                with pool.connection() as connection:
                    use(connection.table(_TABLE))

        return operation

    uses = _uses(batch, scan)
    try:
        yield {name: repeated(use) for name, use in zip(OPERATIONS, uses, strict=True)}
    finally:
        if hasattr(pool, "close"):
            pool.close()


def _uses(batch: Any, scan: Any) -> tuple[Callable[[Any], Any], ...]:
    return (
        lambda table: table.row(b"row"),
        lambda table: table.put(b"put", _CELLS),
        batch,
        scan,
        lambda table: table.counter_inc(b"counter", b"f:n"),
    )


@contextmanager
def _tasks(module: str, server: Any, protocol: str) -> Iterator[dict[str, Cycles]]:
    async def batch(table: Any) -> None:
        async with table.batch() as filling:
            for i in range(20):
                await filling.put(b"batch-%d" % i, _CELLS)

    async def scan(table: Any) -> None:
        async for _ in table.scan(row_prefix=b"scanned"):
            pass

    with asyncio.Runner() as runner:
        block = _open_pool(module, server, protocol)
        pool = runner.run(block.__aenter__())

        def repeated(use: Callable[[Any], Awaitable[object]]) -> Cycles:
            async def many(n: int) -> None:
                for _ in repeat(None, n):
                    async with pool.connection() as connection:
                        await use(connection.table(_TABLE))

            return lambda n: runner.run(many(n))

        try:
            yield {name: repeated(use) for name, use in zip(OPERATIONS, _uses(batch, scan), strict=True)}
        finally:
            runner.run(block.__aexit__(None, None, None))


@asynccontextmanager
async def _open_pool(module: str, server: Any, protocol: str) -> AsyncIterator[Any]:
    pool_class = import_module(module).ConnectionPool
    async with pool_class(1, host=server.host, port=server.port, protocol=protocol) as pool:
        yield pool
