"""A FastAPI application on one Cassandra session, with at most so many requests at once and a monitor of the hosts.

    python examples/fastapi_cassandra.py 127.0.0.1:9042

uvicorn serves it (`uvicorn.run`); bench/fastapi_cassandra.py measures it against the synchronous driver.
"""

import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from typing import Any

from cassandra import OperationTimedOut
from cassandra.cluster import Cluster
from fastapi import FastAPI, HTTPException, Request, Response

from fastpool.adapters.cassandra import HostHealth, SessionPool

KEYSPACE = "fastpool_example"
SCHEMA = (
    f"CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = "
    "{'class': 'SimpleStrategy', 'replication_factor': 1}",
    f"CREATE TABLE IF NOT EXISTS {KEYSPACE}.users (id uuid PRIMARY KEY, name text, email text)",
)
SELECT = f"SELECT id, name, email FROM {KEYSPACE}.users WHERE id = ?"
INSERT = f"INSERT INTO {KEYSPACE}.users (id, name, email) VALUES (?, ?, ?)"
DELETE = f"DELETE FROM {KEYSPACE}.users WHERE id = ?"


class Users:
    """The application's queries: each takes a permit, and has two seconds for the wait and the answer together."""

    def __init__(self, pool: SessionPool) -> None:
        self.pool = pool

    async def prepare(self) -> None:
        async with self.pool.asession() as session:
            for statement in SCHEMA:
                await session.execute(statement)
            self.select = await session.prepare(SELECT)
            self.insert = await session.prepare(INSERT)
            self.delete = await session.prepare(DELETE)

    async def get(self, key: uuid.UUID) -> dict[str, Any] | None:
        row = (await self.pool.execute(self.select, (key,), timeout=2)).one()
        return None if row is None else row._asdict()

    def get_blocking(self, key: uuid.UUID) -> dict[str, Any] | None:
        with self.pool.session(timeout=2) as session:
            row = session.execute(self.select, (key,)).one()
            return None if row is None else row._asdict()

    async def put(self, key: uuid.UUID, name: str, email: str) -> None:
        await self.pool.execute(self.insert, (key, name, email), timeout=2)

    async def remove(self, key: uuid.UUID) -> None:
        await self.pool.execute(self.delete, (key,), timeout=2)


def alert(hosts: list[HostHealth]) -> None:
    print("unhealthy:", ", ".join(f"{host.address} ({host.error})" for host in hosts), file=sys.stderr)


def lifespan_of(
    make_cluster: Callable[[], Cluster], **options: Any
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        cluster = make_cluster()  # here, not at import: the driver does not survive the fork of a server's workers
        try:
            async with SessionPool(cluster, name="users", **options) as pool:
                app.state.users = Users(pool)
                await app.state.users.prepare()
                await pool.awarm()
                pool.monitor(60, alert)  # a task of this loop; the pool's close stops it
                yield
                await pool.aclose(timeout=10)  # lets the requests end that are under way
        finally:
            cluster.shutdown()

    return lifespan


def create_app(make_cluster: Callable[[], Cluster], **options: Any) -> FastAPI:
    app = FastAPI(lifespan=lifespan_of(make_cluster, **options))

    def users(request: Request) -> Users:
        found: Users = request.app.state.users
        return found

    @app.exception_handler(OperationTimedOut)
    async def too_slow(request: Request, error: OperationTimedOut) -> Response:
        """No permit in time, or no answer: the driver's error for both."""
        return Response(f"the database is busy: {type(error).__name__}", 503, {"Retry-After": "1"})

    @app.get("/users/{key}")
    async def get_user(key: uuid.UUID, request: Request) -> dict[str, Any]:
        return _found(await users(request).get(key))

    @app.get("/blocking/users/{key}")
    def get_user_blocking(key: uuid.UUID, request: Request) -> dict[str, Any]:
        """FastAPI calls a plain function in a thread of its own: it stands in the same line."""
        return _found(users(request).get_blocking(key))

    @app.put("/users/{key}", status_code=204)
    async def put_user(key: uuid.UUID, name: str, email: str, request: Request) -> None:
        await users(request).put(key, name, email)

    @app.delete("/users/{key}", status_code=204)
    async def delete_user(key: uuid.UUID, request: Request) -> None:
        await users(request).remove(key)

    @app.get("/health")
    async def health(request: Request, response: Response) -> dict[str, Any]:
        pool = users(request).pool
        hosts = await pool.ahealth(timeout=2)
        response.status_code = 200 if any(host.healthy for host in hosts) else 503
        stats = pool.stats()
        permits = {"max": pool.max_concurrent, "leased": stats.leased, "waiting": stats.waiting}
        return {"hosts": [asdict(host) for host in hosts], "permits": permits}

    return app


def _found(user: dict[str, Any] | None) -> dict[str, Any]:
    if user is None:
        raise HTTPException(404, "no such user")
    return user


def main(*servers: str) -> None:
    import uvicorn

    addresses = [server.rsplit(":", 1) for server in servers or ("127.0.0.1:9042",)]
    hosts, port = [host for host, _ in addresses], int(addresses[0][1])
    uvicorn.run(create_app(lambda: Cluster(hosts, port=port), max_concurrent=200))


if __name__ == "__main__":
    main(*sys.argv[1:])
