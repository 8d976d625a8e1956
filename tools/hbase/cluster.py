"""A real HBase for tests: a standalone master (with its region server and ZooKeeper) and any number of Thrift gateways.

Everything listens on loopback, on ports that were free, keeps its state under `.cache/hbase` and is thrown away
when it stops. Each JVM runs on a leash (tools/jvm): it ends with the process that started it, or after `seconds`.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from xml.sax.saxutils import escape

from tools.jvm.program import CACHE, FRUGAL, LOOPBACK, Jvm, Unavailable, free_ports, java, listening, scratch_folder
from tools.jvm.program import jars as bring_jars

__all__ = ["Cluster", "Gateway", "GatewayConfig", "Unavailable"]
HERE = Path(__file__).resolve().parent
STATE = CACHE / "hbase"
MASTER = "org.apache.hadoop.hbase.master.HMaster"
GATEWAY = "org.apache.hadoop.hbase.thrift.ThriftServer"
MASTER_READY = "Master has completed initialization"
OPENS = (
    "java.lang",
    "java.lang.reflect",
    "java.net",
    "java.nio",
    "java.util",
    "java.util.concurrent",
    "jdk.internal.ref",
    "sun.nio.ch",
)
LOG4J = f"""\
log4j.rootLogger=WARN,err
log4j.logger.{MASTER}=INFO
log4j.appender.err=org.apache.log4j.ConsoleAppender
log4j.appender.err.target=System.err
log4j.appender.err.layout=org.apache.log4j.PatternLayout
log4j.appender.err.layout.ConversionPattern=%d %-5p [%t] %c{{2}}: %m%n
"""


@dataclasses.dataclass(frozen=True)
class GatewayConfig:
    """What of a Thrift gateway's settings matters to a pool; the defaults are HBase's own."""

    read_timeout_ms: int = 60_000
    max_workers: int = 1000
    framed: bool = False
    compact: bool = False
    port: int = 0
    """0: one that is free."""


def jars() -> Path:
    """Give the folder with HBase's 150 jars, bringing them in by Maven the first time (108 MB)."""
    return bring_jars(HERE / "pom.xml", STATE / "lib")


def write_site(folder: Path, settings: dict[str, object]) -> None:
    """Write `hbase-site.xml` and the logging set-up: the gateway takes no other way of being told."""
    folder.mkdir(parents=True)
    body = "".join(
        f"  <property><name>{escape(name)}</name><value>{escape(text(value))}</value></property>\n"
        for name, value in settings.items()
    )
    (folder / "hbase-site.xml").write_text(f"<configuration>\n{body}</configuration>\n")
    (folder / "log4j.properties").write_text(LOG4J)


def text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def start(folder: Path, program: list[str], heap: str, seconds: float) -> Jvm:
    """Start one of HBase's programs in `folder`, where its settings are."""
    opens = [f"java.base/{name}" for name in OPENS]
    command = [*java(opens, ["java.base/jdk.internal.misc"]), f"-Xmx{heap}", *FRUGAL, f"-Djava.io.tmpdir={folder}"]
    return Jvm(folder, [*command, "-cp", f"{folder}{os.pathsep}{jars()}/*", *program], seconds)


class Gateway:
    """A Thrift gateway in front of a cluster."""

    host = LOOPBACK

    def __init__(self, folder: Path, config: GatewayConfig, settings: dict[str, object], seconds: float) -> None:
        self.config = config
        self.port = config.port or free_ports(1)[0]
        settings = settings | {
            "hbase.regionserver.thrift.ipaddress": LOOPBACK,
            "hbase.thrift.info.port": -1,
            "hbase.thrift.server.socket.read.timeout": config.read_timeout_ms,
            "hbase.thrift.minWorkerThreads": min(16, config.max_workers),
            "hbase.thrift.maxWorkerThreads": config.max_workers,
            "hbase.regionserver.thrift.framed": config.framed,
            "hbase.regionserver.thrift.compact": config.compact,
        }
        write_site(folder, settings)
        self.jvm = start(folder, [GATEWAY, "start", "-p", str(self.port)], "512m", seconds)
        self.jvm.wait_until(lambda: listening(self.host, self.port), "the Thrift gateway", 60)

    def stop(self) -> None:
        self.jvm.stop()


class Cluster:
    """The standalone master, and the gateways started on it; a context manager that stops them all.

    `seconds` bounds how long any of its processes may live. Raises Unavailable without Java or Maven, NotStarted
    when a JVM does not come up.
    """

    def __init__(self, seconds: float = 600.0) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        jars()
        self.folder = scratch_folder(STATE)
        self._gateways: list[Gateway] = []
        zookeeper, master, region = free_ports(3)
        self._settings: dict[str, object] = {
            "hbase.cluster.distributed": False,
            "hbase.rootdir": (self.folder / "root").as_uri(),
            "hbase.tmp.dir": self.folder / "tmp",
            "hbase.zookeeper.property.dataDir": self.folder / "zookeeper",
            "hbase.zookeeper.property.clientPort": zookeeper,
            "hbase.zookeeper.property.clientPortAddress": LOOPBACK,
            "hbase.zookeeper.quorum": "localhost",
            "hbase.unsafe.stream.capability.enforce": False,
            "hbase.wal.provider": "filesystem",
            "hbase.master.info.port": -1,
            "hbase.regionserver.info.port": -1,
            "hbase.master.port": master,
            "hbase.regionserver.port": region,
            "hbase.master.hostname": "localhost",
            "hbase.regionserver.hostname": "localhost",
            "hbase.master.ipc.address": LOOPBACK,
            "hbase.regionserver.ipc.address": LOOPBACK,
        }
        try:
            write_site(self.folder / "master", self._settings)
            self.master = start(self.folder / "master", [MASTER, "start"], "1g", seconds)
            self.master.wait_until(lambda: MASTER_READY in self.master.said(), "HBase's master", 120)
        except BaseException:
            self._clean()
            raise

    def gateway(self, config: GatewayConfig = GatewayConfig()) -> Gateway:
        """Start one more Thrift gateway; it stops with the cluster, or by its own `stop()`."""
        folder = self.folder / f"gateway-{len(self._gateways)}"
        made = Gateway(folder, config, self._settings, max(self._end - time.monotonic(), 1.0))
        self._gateways.append(made)
        return made

    def processes(self) -> Iterator[Jvm]:
        yield self.master
        for gateway in self._gateways:
            yield gateway.jvm

    def stop(self) -> None:
        """Stop everything and remove what it wrote."""
        for jvm in reversed(list(self.processes())):
            jvm.stop()
        self._clean()

    def _clean(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
