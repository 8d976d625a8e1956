"""Real Cassandra nodes on loopback, for trying things out.

    python -m tools.cassandra.cassandra start     in the background, for at most --for seconds; prints where it listens
    python -m tools.cassandra.cassandra stop      ends what `start` started
    python -m tools.cassandra.cassandra run -- pytest …    as long as the command runs, with CASSANDRA_… set
    python -m tools.cassandra.cassandra run       until Ctrl-C
    python -m tools.cassandra.cassandra fetch     only brings in the jars

Needs Java and Maven; the first time Maven brings in Cassandra's jars (30 to 64 MB). Jars and
state are under `.cache/cassandra`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tools.cassandra.cluster import STATE, Cluster, Config, fetch, versions
from tools.jvm.background import Commands


def environment(cluster: Cluster) -> dict[str, str]:
    """The variables that say where the nodes listen."""
    first = cluster.nodes[0]
    found = {
        "CASSANDRA_HOSTS": ",".join(node.host for node in cluster.nodes),
        "CASSANDRA_PORT": str(first.native_port),
    }
    if first.thrift_port:
        found["CASSANDRA_THRIFT_PORT"] = str(first.thrift_port)
    if cluster.config.authentication:
        found |= {"CASSANDRA_USERNAME": "cassandra", "CASSANDRA_PASSWORD": "cassandra"}
    return found


def make(args: argparse.Namespace) -> tuple[Cluster, Callable[[], dict[str, str]]]:
    """Start the cluster; its environment is known then."""
    config = Config(args.version, args.nodes, args.authentication, args.heap, args.native_port, args.thrift_port)
    cluster = Cluster(config, args.seconds)
    return cluster, lambda: environment(cluster)


def add_version(command: argparse.ArgumentParser) -> None:
    command.add_argument("--version", default="3.11.17", choices=versions(), help="3.11 speaks Thrift, too")


def add_arguments(command: argparse.ArgumentParser) -> None:
    add_version(command)
    command.add_argument("--nodes", type=int, default=1, help="node i listens on 127.0.0.i")
    command.add_argument("--authentication", action="store_true", help="clients log in (cassandra, cassandra)")
    command.add_argument("--heap", default="512m", help="of each node")
    command.add_argument("--native-port", type=int, default=0, help="for CQL (default: a free one)")
    command.add_argument("--thrift-port", type=int, default=0, help="for Thrift (default: a free one)")


def add_fetch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("fetch")
    command.set_defaults(call=lambda args: print(fetch(args.version)) or 0)
    add_version(command)


if __name__ == "__main__":
    commands = Commands("Cassandra", "tools.cassandra.cassandra", STATE, make, add_arguments, add_fetch)
    sys.exit(commands.main(sys.argv[1:], __doc__))
