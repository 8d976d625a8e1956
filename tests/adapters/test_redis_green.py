"""fastpool.adapters.redis under gevent: greenlets share a few connections, and wait in line."""

from __future__ import annotations

import pytest

pytest.importorskip("redis")
pytest.importorskip("gevent")

from tests.process._scripts import run

PROGRAM = """
from gevent import monkey; monkey.patch_all()
import sys
import gevent, redis
sys.path.insert(0, {root!r})
from fastpool.adapters.redis import BlockingConnectionPool
from tests.adapters._resp import RespServer
fake = RespServer()
pool = BlockingConnectionPool(3, 20, host=fake.host, port=fake.port)
client = redis.Redis(connection_pool=pool)

def work(number):
    for turn in range(10):
        key = f"{{number}}-{{turn}}"
        if turn % 3:
            assert client.get(key) == key.encode()
        else:
            c = pool.get_connection()
            c.send_command("GET", key)
            gevent.sleep(0)
            pool.release(c)

with gevent.Timeout(20):
    jobs = [gevent.spawn(work, number) for number in range(20)]
    gevent.joinall(jobs, raise_error=True)
fake.hold = "theirs"
victim = gevent.spawn(client.get, "theirs")
fake.until(lambda: fake.held)
victim.kill()
assert client.get("mine") == b"mine"
assert pool.stats().leased == 0 and pool.stats().closed["desync"] == 81, pool.stats()
print("well")
"""


def test_greenlets_get_their_own_replies() -> None:
    from pathlib import Path

    root = str(Path(__file__).resolve().parents[2])
    assert "well" in run(PROGRAM.format(root=root))
