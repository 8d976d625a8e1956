"""pycassa's replacement under a cap shared over processes: a connection that replaces another takes over its permit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fastpool.adapters.pycassa import AllServersUnavailable, ConnectionPool

from ._cassandra import ONE, PARENT, FakeCassandra, Story, column, insert

MakePool = Callable[..., ConnectionPool]


@pytest.fixture(autouse=True)
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pages").mkdir(mode=0o700)
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(tmp_path / "pages"))


def permits(pool: ConnectionPool) -> int:
    assert pool.share is not None
    return int(pool.share.member.holding)


def test_a_recycled_connection_is_closed_before_the_new_one_is_opened(
    make_pool: MakePool, cassandra: FakeCassandra, story: Story
) -> None:
    pool = make_pool(pool_size=1, recycle=0, shared="pycassa", shared_max=1)
    old = pool.get()
    old.insert(b"key", PARENT, column(b"v"), ONE)
    open_at_connect: list[bool] = []
    cassandra.on_connect = lambda: open_at_connect.append(old.is_open())
    pool.put(old)
    assert open_at_connect == [False] and story.count("connection_recycled") == 1
    assert (permits(pool), len(pool)) == (1, 1)
    insert(pool)


def test_the_permit_is_free_if_the_new_one_cannot_be_opened(
    make_pool: MakePool, cassandra: FakeCassandra, story: Story
) -> None:
    pool = make_pool(pool_size=1, recycle=0, shared="pycassa", shared_max=1)
    old = pool.get()
    old.insert(b"key", PARENT, column(b"v"), ONE)
    cassandra.stop()
    pool.put(old)
    assert (permits(pool), len(pool)) == (0, 0) and story.dicts("connection_disposed")[-1]["connection"] is old
    with pytest.raises(AllServersUnavailable):
        pool.get()
    assert permits(pool) == 0


def test_a_retry_keeps_the_permit(make_pool: MakePool, cassandra: FakeCassandra, story: Story) -> None:
    pool = make_pool(pool_size=1, max_retries=2, shared="pycassa", shared_max=1)
    cassandra.hang_up()
    insert(pool)
    assert (permits(pool), len(pool)) == (1, 1)
