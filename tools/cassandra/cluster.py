"""Real Cassandra nodes for tests: 3.11.17, which speaks CQL and Thrift, or 5.0.2, which speaks CQL alone.

Node i of a cluster listens on 127.0.0.i, all on the same ports, which were free. Everything is kept under
`.cache/cassandra` and thrown away when the cluster stops. Each JVM runs on a leash (tools/jvm): it ends with
the process that started it, or after `seconds`.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.jvm.program import (
    CACHE,
    FRUGAL,
    Jvm,
    NotStarted,
    Unavailable,
    free_ports,
    jars,
    java,
    listening,
    scratch_folder,
    text,
)

__all__ = ["Cluster", "Config", "Node", "NotStarted", "Unavailable"]
HERE = Path(__file__).resolve().parent
STATE = CACHE / "cassandra"
DAEMON = "org.apache.cassandra.service.CassandraDaemon"
START_S = 120.0
OPENS = [
    *(f"java.base/java.{name}" for name in ("io", "lang", "lang.module", "lang.reflect", "math", "net", "nio", "util")),
    *(f"java.base/java.util.{name}" for name in ("concurrent", "concurrent.atomic")),
    *(f"java.base/jdk.internal.{name}" for name in ("loader", "math", "misc", "module", "ref", "reflect", "util.jar")),
    "java.base/sun.nio.ch",
    "java.rmi/sun.rmi.transport.tcp",
    "jdk.management/com.sun.management.internal",
]
EXPORTS = [
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport.tcp",
    "java.sql/java.sql",
]
LOGBACK = """\
<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level [%thread] %date{ISO8601} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"""


@dataclasses.dataclass(frozen=True)
class Config:
    """The cluster to start. Every field but `nodes` applies to each node."""

    version: str = "3.11.17"
    """One that has a `pom-VERSION.xml` here."""
    nodes: int = 1
    authentication: bool = False
    """True: clients log in, at first as `cassandra` with the password `cassandra`, who may do everything."""
    heap: str = "512m"
    native_port: int = 0
    """For CQL; 0: one that is free."""
    thrift_port: int = 0
    """Only of a version that has Thrift."""

    @property
    def thrift(self) -> bool:
        """Whether this version has the Thrift interface."""
        return int(self.version.split(".")[0]) < 4


def versions() -> list[str]:
    """The versions that can be started."""
    return sorted(path.stem.removeprefix("pom-") for path in HERE.glob("pom-*.xml"))


def fetch(version: str) -> Path:
    """Give the folder with a version's jars, bringing them in by Maven the first time (30 to 64 MB)."""
    if version not in versions():
        raise ValueError(f"version must be one of {', '.join(versions())}, not {version!r}")
    return jars(HERE / f"pom-{version}.xml", STATE / f"lib-{version}")


def settings(folder: Path, config: Config, host: str, index: int, ports: dict[str, int]) -> dict[str, object]:
    """The content of a node's configuration file, except for the seed."""
    authenticator = "PasswordAuthenticator" if config.authentication else "AllowAllAuthenticator"
    shared: dict[str, object] = {
        "cluster_name": "fastpool-tests",
        "num_tokens": 1,
        # even shares of the ring, so that each node has data
        "initial_token": -(2**63) + 1 + index * (2**64 // config.nodes),
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "endpoint_snitch": "SimpleSnitch",
        "listen_address": host,
        "rpc_address": host,
        "storage_port": ports["storage"],
        "native_transport_port": ports["native"],
        "start_native_transport": True,
        "data_file_directories": f"[{folder / 'data'}]",
        "commitlog_directory": folder / "commitlog",
        "saved_caches_directory": folder / "saved_caches",
        "hints_directory": folder / "hints",
        "cdc_raw_directory": folder / "cdc_raw",
        "commitlog_sync": "batch",  # what was acknowledged survives a kill
        "authenticator": authenticator,
        "authorizer": "CassandraAuthorizer" if config.authentication else "AllowAllAuthorizer",
        "auto_snapshot": False,
        "auto_bootstrap": False,
    }
    if config.thrift:
        return shared | {
            "ssl_storage_port": ports["ssl"],
            "start_rpc": True,
            "rpc_port": ports["thrift"],
            "rpc_server_type": "sync",
            "rpc_min_threads": 1,
            "rpc_max_threads": 256,
            "thrift_framed_transport_size_in_mb": 15,
            "commitlog_sync_batch_window_in_ms": 2,
            "commitlog_segment_size_in_mb": 8,
            "roles_validity_in_ms": 0,
            "permissions_validity_in_ms": 0,
            "credentials_validity_in_ms": 0,
        }
    return shared | {
        "commitlog_segment_size": "8MiB",
        "memtable_heap_space": "64MiB",
        "memtable_offheap_space": "64MiB",
        "file_cache_size": "32MiB",
        "key_cache_size": "8MiB",
    }


class Node:
    """One Cassandra process at `host`; CQL at `native_port` and, in 3.11, Thrift at `thrift_port`.

    `stop` or `kill` it and `start` it again: address, ports and data stay.
    """

    def __init__(self, folder: Path, config: Config, index: int, ports: dict[str, int], end: float) -> None:
        self.host = f"127.0.0.{index + 1}"
        self.config = config
        self.native_port = ports["native"]
        self.thrift_port = ports["thrift"] if config.thrift else 0
        self.storage_port = ports["storage"]
        self.folder = folder
        self._end = end  # time.monotonic() after which no JVM of the cluster lives
        self.jvm: Jvm | None = None
        for name in ("conf", "tmp"):
            (folder / name).mkdir(parents=True)
        seed = "127.0.0.1" if config.thrift else f"127.0.0.1:{ports['storage']}"
        lines = [
            f"{name}: {text(value)}\n" for name, value in settings(folder, config, self.host, index, ports).items()
        ]
        lines.append("seed_provider:\n  - class_name: org.apache.cassandra.locator.SimpleSeedProvider\n")
        lines.append(f'    parameters:\n      - seeds: "{seed}"\n')
        (folder / "conf" / "cassandra.yaml").write_text("".join(lines))
        (folder / "conf" / "logback.xml").write_text(LOGBACK)

    def command(self) -> list[str]:
        lib = fetch(self.config.version)
        conf = self.folder / "conf"
        # 3.11 on Java 17 needs the agent: without it prepared statements fail
        agent = next(lib.glob("jamm-*.jar"))
        heap = self.config.heap
        options = {
            "jdk.attach.allowAttachSelf": "true",
            "java.io.tmpdir": self.folder / "tmp",
            "cassandra.config": (conf / "cassandra.yaml").as_uri(),
            "cassandra.storagedir": self.folder,
            "cassandra.logdir": self.folder,
            "logback.configurationFile": (conf / "logback.xml").as_uri(),
            "cassandra-foreground": "yes",
            "cassandra.superuser_setup_delay_ms": 0,
            "cassandra.skip_wait_for_gossip_to_settle": 0,
            "cassandra.ring_delay_ms": 100,
        }
        return [
            *java(OPENS, EXPORTS),
            f"-javaagent:{agent}",
            *(f"-D{name}={value}" for name, value in options.items()),
            f"-Xms{heap}",
            f"-Xmx{heap}",
            "-XX:MaxDirectMemorySize=256m",
            *FRUGAL,
            "-cp",
            f"{conf}{os.pathsep}{lib}/*",
            DAEMON,
        ]

    def launch(self) -> None:
        """Start the process, without waiting until it is ready."""
        if self.running():
            raise RuntimeError(f"the node at {self.host} runs already")
        self.jvm = Jvm(self.folder, self.command(), max(self._end - time.monotonic(), 1.0))

    def wait(self, seconds: float = START_S) -> None:
        """Wait until clients can connect, and log in; raises NotStarted when that takes longer."""
        if self.jvm is None:
            raise RuntimeError(f"the node at {self.host} was not started")
        self.jvm.wait_until(self.ready, f"Cassandra {self.config.version} at {self.host}", seconds)

    def start(self, seconds: float = START_S) -> None:
        """Start the process and wait until clients can connect."""
        self.launch()
        self.wait(seconds)

    def ready(self) -> bool:
        said = self.jvm.said() if self.jvm else ""
        signs = ["Listening for thrift clients" if self.config.thrift else "Starting listening for CQL clients"]
        first = not (self.folder / "superuser").exists()
        if self.config.authentication and self.host == "127.0.0.1" and first:
            signs.append("Created default superuser role")
        if not all(sign in said for sign in signs) or not listening(self.host, self.native_port):
            return False
        (self.folder / "superuser").touch()
        return True

    def running(self) -> bool:
        return self.jvm is not None and self.jvm.running()

    def sees_up(self, other: Node) -> bool:
        """Whether this node's last message about the other one is that it is up."""
        said = re.findall(rf"InetAddress /{re.escape(other.host)}(?::\d+)? is now (UP|DOWN)", self.said())
        return bool(said) and said[-1] == "UP"

    def said(self) -> str:
        """The log of the process since its last start."""
        return self.jvm.said() if self.jvm else ""

    def stop(self) -> None:
        """Ask the process to end, and wait until it has."""
        if self.jvm is not None:
            self.jvm.stop()

    def kill(self) -> None:
        """End the process as a crash would, and wait until it has."""
        if self.jvm is not None:
            self.jvm.kill()


class Cluster:
    """`config.nodes` nodes that run; a context manager that stops them and removes what they wrote.

    `seconds` bounds how long any of its processes may live. Raises Unavailable without Java, Maven or the loopback
    addresses, NotStarted when a JVM does not come up.
    """

    def __init__(self, config: Config = Config(), seconds: float = 600.0) -> None:
        self.config = config
        fetch(config.version)
        hosts = [f"127.0.0.{index + 1}" for index in range(config.nodes)]
        names = ["storage", "ssl", "native", *(["thrift"] if config.thrift else [])]
        ports = dict(zip(names, free_ports(len(names), hosts), strict=True))
        ports["native"] = config.native_port or ports["native"]
        if config.thrift:
            ports["thrift"] = config.thrift_port or ports["thrift"]
        self.folder = scratch_folder(STATE)
        end = time.monotonic() + seconds
        try:
            self.nodes = [Node(self.folder / f"node-{i + 1}", config, i, ports, end) for i in range(config.nodes)]
            first, *others = self.nodes
            first.start()
            for node in others:
                node.launch()
            for node in others:
                node.wait()
            self.wait_until_all_up()
        except BaseException:
            self.stop()
            raise

    def wait_until_all_up(self, seconds: float = START_S) -> None:
        """Wait until each node that runs sees each other one that runs; raises NotStarted when that takes longer."""
        running = [node for node in self.nodes if node.running()]
        for node in running:
            for other in running:
                if node is not other and node.jvm is not None:
                    what = f"the node at {node.host}, which is to see {other.host} up,"
                    node.jvm.wait_until(lambda node=node, other=other: node.sees_up(other), what, seconds)  # type: ignore[misc]

    def processes(self) -> Iterator[Jvm]:
        """The JVMs of all nodes that were started."""
        for node in self.nodes:
            if node.jvm is not None:
                yield node.jvm

    def stop(self) -> None:
        """Stop everything and remove what it wrote."""
        for jvm in self.processes():
            jvm.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
