"""Try an installed fastpool, with only the standard library beside it; raises at the first fault."""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from pathlib import Path

HEAVY = ("asyncio", "happybase", "thriftpy2", "gevent", "eventlet", "greenlet", "rich", "click")


class Failed(Exception):
    pass


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise Failed(what)


class Connection:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def try_threads(fastpool: object) -> None:
    """Eight threads on two connections: each connection has one holder at a time, and none is lost."""
    made: list[Connection] = []
    busy: set[int] = set()

    def connect() -> Connection:
        made.append(Connection())
        return made[-1]

    def work() -> None:
        for _ in range(200):
            with pool.connection() as c:
                expect(id(c) not in busy, "two holders of one connection")
                busy.add(id(c))
                busy.discard(id(c))

    with fastpool.Pool(connect, max_size=2, timeout=30) as pool:  # type: ignore[attr-defined]
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stats = pool.stats()
        expect(stats.checkouts == 8 * 200 == stats.checkins, f"checkouts and checkins: {stats}")
        expect(len(made) <= 2 and stats.leased == 0 == stats.waiting, f"left over: {stats}")
        with pool.connection(), pool.connection():
            try:
                with pool.connection(timeout=0):
                    raise Failed("a third connection of two")
            except fastpool.NoConnectionsAvailable:  # type: ignore[attr-defined]
                pass
    expect(all(c.closed for c in made), "a connection left open by close()")


def try_codec() -> None:
    """The compiled codec of the Thrift drop-ins is there, and needs none of their libraries to be imported."""
    codec = import_module("fastpool.adapters._thrift.codec").codec
    expect(codec is not None, "the codec cannot be imported")
    expect(codec.call is not None and repr(codec.REFUSED) == "REFUSED", "the codec is not what it should be")


async def try_tasks(fastpool: object) -> None:
    """Eight tasks on two connections."""
    import asyncio

    async def connect() -> Connection:
        return Connection()

    async def work() -> None:
        for _ in range(50):
            async with pool.connection():
                await asyncio.sleep(0)

    async with fastpool.AsyncPool(connect, max_size=2) as pool:  # type: ignore[attr-defined]
        await asyncio.gather(*(work() for _ in range(8)))
        expect(pool.stats().connects <= 2, f"{pool.stats()}")


def main() -> None:
    from importlib import metadata, resources  # here, as they load zlib, which an emulated system may lack

    import fastpool

    heavy = [name for name in HEAVY if name in sys.modules]
    expect(not heavy, f"import fastpool brings in {heavy}")

    expect(fastpool.__version__ == metadata.version("fastpool"), "the version is not the one installed")
    here = Path(__file__).resolve().parent.parent
    expect(
        here / "src" not in Path(fastpool.__file__).resolve().parents, "this is the source tree, not what is installed"
    )
    expect(resources.files(fastpool).joinpath("py.typed").is_file(), "py.typed is missing")
    if "t" in sys.abiflags:
        expect(not sys._is_gil_enabled(), "importing fastpool turned the GIL on")  # type: ignore[attr-defined]
    try_codec()
    try_threads(fastpool)
    import asyncio

    asyncio.run(try_tasks(fastpool))
    print(f"fastpool {fastpool.__version__} works on {sys.version}")


if __name__ == "__main__":
    main()
