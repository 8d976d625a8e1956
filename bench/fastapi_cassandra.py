"""The FastAPI example against the synchronous driver: 10, 50 and 100 requests to one running Cassandra.

    python -m tools.cassandra.cassandra run --version 5.0.2 -- python bench/fastapi_cassandra.py

Each of n users is read, in four ways:

- *sync*: `session.execute` one after the other, as async-cassandra's page does on its synchronous side;
- *pool*: `await pool.execute`, all n at once;
- *threads*: n GETs at once to plain functions of the application, which FastAPI calls in 40 threads;
- *tasks*: n GETs at once to coroutine functions of the application.

The ways alternate in each of the rounds; the figures are medians, with quartiles. `--delay` puts so many milliseconds
of network between driver and server, by fastpool's proxy: on loopback a request costs the client's processor more than
it waits, and only what waits can be done at once.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import platform
import statistics
import time
import uuid
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx

from fastpool.testing import FaultProxy

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the driver imports every event loop that is installed
    from cassandra.cluster import Cluster

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "fastapi_cassandra.py"
COUNTS = (10, 50, 100)


def example() -> Any:
    spec = importlib.util.spec_from_file_location("fastapi_cassandra_example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def seconds(call: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


async def measure(app: Any, rounds: int) -> dict[int, dict[str, list[float]]]:
    """The seconds of each round, by number of requests and way."""
    took: dict[int, dict[str, list[float]]] = {}
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as client,
    ):
        users = app.state.users
        keys = [uuid.uuid4() for _ in range(max(COUNTS))]
        for key in keys:
            await users.put(key, "ada", "ada@example.org")
        session = users.pool.driver.shared.get()

        async def one_by_one(n: int) -> None:
            for key in keys[:n]:
                assert session.execute(users.select, (key,)).one().name == "ada"

        async def at_once(n: int) -> None:
            results = await asyncio.gather(*(users.pool.execute(users.select, (key,)) for key in keys[:n]))
            assert all(result.one().name == "ada" for result in results)

        async def gets(n: int, path: str) -> None:
            answers = await asyncio.gather(*(client.get(f"{path}/{key}") for key in keys[:n]))
            assert all(answer.json()["name"] == "ada" for answer in answers)

        ways: dict[str, Callable[[int], Awaitable[None]]] = {
            "sync": one_by_one,
            "pool": at_once,
            "threads": lambda n: gets(n, "/blocking/users"),
            "tasks": lambda n: gets(n, "/users"),
        }
        for number in range(rounds + 1):
            for n in COUNTS:
                for name, way in list(ways.items())[:: 1 if number % 2 else -1]:
                    spent = await seconds(lambda n=n, way=way: way(n))  # type: ignore[misc]
                    if number:  # the first round is to warm up
                        took.setdefault(n, {}).setdefault(name, []).append(spent)
    return took


def ratio(slower: list[float], faster: list[float]) -> str:
    """How many times faster: the median of the rounds, and the quartiles."""
    low, middle, high = statistics.quantiles([a / b for a, b in zip(slower, faster, strict=True)], n=4)
    return f"{middle:.1f}× [{low:.1f} … {high:.1f}]"


def rate(n: int, spent: list[float]) -> str:
    return f"{n / statistics.median(spent):,.0f}/s"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument(
        "--delay", type=float, action="append", help="milliseconds; may be repeated (default: 0 and 5)"
    )
    given = options.parse_args()
    host = os.environ.get("CASSANDRA_HOSTS", "127.0.0.1").split(",")[0]
    server = SimpleNamespace(host=host, port=int(os.environ.get("CASSANDRA_PORT", "9042")))
    print("| network | requests | sync | pool | pool : sync | threads | tasks | tasks : threads |")
    print("|" + " --- |" * 8)
    for delay in given.delay or [0.0, 5.0]:
        with FaultProxy(server) as proxy:
            proxy.delay(delay / 1000)
            where = proxy if delay else server
            app = example().create_app(lambda where=where: Cluster([where.host], port=where.port, protocol_version=5))
            took = asyncio.run(measure(app, given.rounds))
        for n, ways in took.items():
            rates = {name: rate(n, spent) for name, spent in ways.items()}
            print(
                f"| {f'{delay:g} ms' if delay else 'loopback'} | {n} | {rates['sync']} | {rates['pool']} "
                f"| {ratio(ways['sync'], ways['pool'])} | {rates['threads']} | {rates['tasks']} "
                f"| {ratio(ways['threads'], ways['tasks'])} |"
            )
    print(f"\nCPython {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
