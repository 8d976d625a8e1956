"""The functions of fastpool.testing under a storm of alarms whose handler raises; afterwards other threads are served.

python _testing_storm.py CALL      prints "well"
"""

from __future__ import annotations

import faulthandler
import sys
import threading
from collections.abc import Callable

import happybase

from fastpool.testing import FaultProxy, HBaseServer
from tests.process._alarm_storm import PATIENCE, storm

server = HBaseServer()
child = HBaseServer(process=True)
proxy = FaultProxy(server)


def hold() -> None:
    """Hold a call that is not made meanwhile."""
    hold = server.hold("getRow")
    hold.wait(timeout=0)
    hold.entered.wait(0)
    hold.release()


def misbehave() -> None:
    """Misbehave, and release at once."""
    server.misbehave("close", "getRow").release()


def slow() -> None:
    """Slow a call, and reset that."""
    server.slow("getRow", 0.01)
    server.slow("getRow", 0)


def drop() -> None:
    """Connect a client and drop it."""
    client = happybase.Connection(server.host, server.port)
    assert server.wait_connections(server.connections_open)
    server.drop_connections()
    client.close()


def order() -> None:
    """Three commands to the proxy."""
    proxy.delay(0.01)
    proxy.drop_connections()
    proxy.heal()


def ask() -> None:
    """Queries to the server in another process."""
    assert child.connections_open == 0
    assert child.wait_connections(0)


CALLS: dict[str, Callable[[], None]] = {
    "hold": hold,
    "misbehave": misbehave,
    "slow": slow,
    "drop": drop,
    "order": order,
    "ask": ask,
}


def others_are_served() -> None:
    """Another thread calls, through the proxy and directly, and gives the same commands."""
    done = []

    def work() -> None:
        server.stop()  # discards what interrupted tests have set
        server.start()
        proxy.heal()
        for one in (server, proxy, child):
            client = happybase.Connection(one.host, one.port)
            assert client.tables() == []
            client.close()
        assert server.wait_connections(0) and child.wait_connections(0)
        for call in (hold, misbehave, slow, order, ask):
            call()
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()  # the watchdog ends a hang
    assert done, "another thread is not served"


def main(name: str) -> None:
    """Run the storm of one call."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    with server, child, proxy:
        storm(CALLS[name])
        others_are_served()
    faulthandler.cancel_dump_traceback_later()
    print("well")


if __name__ == "__main__":
    main(sys.argv[1])
