"""A real HBase with its Thrift gateway, on loopback, for trying things out.

    python -m tools.hbase.hbase start       in the background, for at most --for seconds; prints where it listens
    python -m tools.hbase.hbase stop        ends what `start` started
    python -m tools.hbase.hbase run -- pytest …    as long as the command runs, with HAPPYBASE_HOST, HAPPYBASE_PORT set
    python -m tools.hbase.hbase run         until Ctrl-C

Needs Java and Maven; the first time Maven brings in HBase's jars (108 MB). Jars and
state are under `.cache/hbase`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tools.hbase.cluster import STATE, Cluster, Gateway, GatewayConfig
from tools.jvm.background import Commands


def environment(gateway: Gateway) -> dict[str, str]:
    """The variables that happybase's own tests read, and the protocol, for which they have none."""
    config = gateway.config
    return {
        "HAPPYBASE_HOST": gateway.host,
        "HAPPYBASE_PORT": str(gateway.port),
        "HAPPYBASE_TRANSPORT": "framed" if config.framed else "buffered",
        "HAPPYBASE_PROTOCOL": "compact" if config.compact else "binary",
    }


def make(args: argparse.Namespace) -> tuple[Cluster, Callable[[], dict[str, str]]]:
    """The cluster, and what starts its gateway."""
    cluster = Cluster(args.seconds)
    config = GatewayConfig(
        args.read_timeout_ms, args.max_workers, framed=args.framed, compact=args.compact, port=args.port
    )
    return cluster, lambda: environment(cluster.gateway(config))


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--read-timeout-ms", type=int, default=60_000, help="hang up on silence after so long")
    command.add_argument("--max-workers", type=int, default=1000, help="connections served at once")
    command.add_argument("--framed", action="store_true", help="framed transport, not buffered")
    command.add_argument("--compact", action="store_true", help="compact protocol, not binary")
    command.add_argument("--port", type=int, default=0, help="the gateway's port (default: a free one)")


if __name__ == "__main__":
    commands = Commands("HBase", "tools.hbase.hbase", STATE, make, add_arguments)
    sys.exit(commands.main(sys.argv[1:], __doc__))
