"""RegionPool in greenlets: the look at a table's regions is a greenlet's, too, as its sockets belong to the hub."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ._gateways import TABLE, needs_addresses, three_gateways

pytestmark = needs_addresses

# Patching is for a whole process, and for good: so in one of its own, with the gateways in this one.
SCRIPT = """
{patch}
import sys, time
from fastpool.adapters.happybase import RegionPool
addresses = [(word.split(":")[0], int(word.split(":")[1])) for word in sys.argv[1:]]

def work(seed):
    for turn in range(30):
        row = "ahq"[(seed + turn) % 3]
        with pool.table("t", row) as table:
            table.put(row, {{"f:q": row}})
            assert table.row(row) == {{b"f:q": row.encode()}}

with RegionPool(1, addresses, refresh=0.02) as pool:
    {spawn}
    assert pool.stats().leased == 0
    assert [pool.locate("t", row) for row in "ahq"] == addresses
    print("moves", flush=True)
    end = time.monotonic() + 20
    while pool.locate("t", "a") != addresses[2] and time.monotonic() < end:
        time.sleep(0.01)
    print(addresses.index(pool.locate("t", "a")), flush=True)
"""
HUBS = {
    "gevent": (
        "import gevent.monkey; gevent.monkey.patch_all(); import gevent",
        "gevent.joinall([gevent.spawn(work, n) for n in range(6)], raise_error=True)",
    ),
    "eventlet": (
        "import eventlet; eventlet.monkey_patch()",
        "[one.wait() for one in [eventlet.spawn(work, n) for n in range(6)]]",
    ),
}


@pytest.mark.parametrize("hub", HUBS)
def test_greenlets_are_routed(hub: str) -> None:
    patch, spawn = HUBS[hub]
    with three_gateways() as gateways:
        program = [sys.executable, "-W", "ignore", "-c", SCRIPT.format(patch=patch, spawn=spawn)]
        program += [f"{host}:{port}" for host, port in gateways.addresses]
        with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            said = child.stdout.readline()
            if said == "moves\n":
                gateways.servers[0].move_region(TABLE, "a", "127.0.0.3")
            rest, errors = child.communicate(timeout=50)
        if f"No module named '{hub}'" in errors:
            pytest.skip(f"no {hub}")
        assert (said, rest) == ("moves\n", "2\n"), errors
