"""After thousands of faults of every kind the pool has as many connections and descriptors as before."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from thriftpy2.thrift import TApplicationException
from thriftpy2.transport import TTransportException

import fastpool
from tests.concurrency._told import eventually

from ._faults import Interruption, Trap
from ._scripted import Call, ScriptedServer, hang_up, row
from ._settle import all_at_once, descriptors

SIZE = 4


def client_interrupted(c: Any) -> None:
    with pytest.raises(Interruption):
        c.client.getRowWithColumns(b"t", b"r", Trap(), {})


def client_closed(c: Any) -> None:
    c.close()


def transport_closed(c: Any) -> None:
    c.transport.close()


def socket_torn(c: Any) -> None:
    c.transport.sock.close()
    with pytest.raises(OSError):
        c.tables()


def left_in_the_middle_of_a_batch(c: Any) -> None:
    with c.table("t").batch(batch_size=1) as batch:
        batch.put(b"r", {b"cf:a": b"v"})
        raise Interruption


def left_scanning(c: Any) -> None:
    next(c.table("t").scan(batch_size=2))
    raise Interruption


SERVER_FAULTS: dict[str, tuple[Callable[[Call], None], type[Exception]]] = {
    "wrong id": (lambda call: call.stream.send(call.stream.good(call, seqid=7)), TApplicationException),
    "wrong name": (lambda call: call.stream.send(call.stream.good(call, name="getRow")), TApplicationException),
    "refusal": (lambda call: call.stream.send(call.stream.refusal(call)), TApplicationException),
    "half": (lambda call: (call.stream.send(call.stream.good(call)[:-4]), hang_up(call)), TTransportException),
    "hang up": (hang_up, TTransportException),
}
CLIENT_FAULTS = [
    client_interrupted,
    client_closed,
    transport_closed,
    socket_torn,
    left_in_the_middle_of_a_batch,
    left_scanning,
]


def fault(pool: fastpool.ConnectionPool, server: ScriptedServer, seen: Counter[str], rng: random.Random) -> None:
    if rng.random() < 0.15:
        name, (script, error) = rng.choice(list(SERVER_FAULTS.items()))
        seen[name] += 1
        with pool.connection() as c:
            server.script = script
            try:
                with pytest.raises((error, OSError)):
                    c.tables()
            finally:
                server.script = None
    else:
        harm = rng.choice(CLIENT_FAULTS)
        seen[harm.__name__] += 1
        try:
            with pool.connection() as c:
                # Also lets the server keep up: connects alone would fill its backlog.
                assert c.tables() == [b"t"]
                harm(c)
        except Interruption:
            pass


@pytest.mark.parametrize("faults", [2_000, pytest.param(10_000, marks=pytest.mark.stress)])
def test_after_so_many_faults(plain_server: ScriptedServer, faults: int) -> None:
    seen: Counter[str] = Counter()
    rng = random.Random(faults)
    with fastpool.ConnectionPool(SIZE, timeout=5000, **plain_server.connect) as pool:
        all_at_once(pool, SIZE)
        before = descriptors()
        for number in range(faults):
            fault(pool, plain_server, seen, rng)
            if number % 10 == 0:
                key = b"%d" % number
                with pool.connection() as c:
                    assert c.table("t").row(key) == row(key)
        assert seen.total() == faults
        assert len(seen) == len(SERVER_FAULTS) + len(CLIENT_FAULTS)
        all_at_once(pool, SIZE)
        assert eventually(lambda: descriptors() <= before)
    assert eventually(lambda: not any(thread.is_alive() for thread in plain_server._threads[1:]))
