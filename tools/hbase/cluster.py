"""A real HBase for tests: a standalone master (with its region server and ZooKeeper), any number of further region
servers, and of Thrift gateways.

Everything listens on loopback, on ports that were free, keeps its state under `.cache/hbase` and is thrown away
when it stops. Each JVM runs on a leash (tools/jvm): it ends with the process that started it, or after `seconds`.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.hbase.program import GATEWAY, MASTER, REGION_SERVER, STATE, Admin, jars, start, write_site
from tools.jvm.program import LOOPBACK, Jvm, NotStarted, Unavailable, free_ports, listening, scratch_folder, tool

__all__ = ["STATE", "Admin", "Cluster", "Gateway", "GatewayConfig", "NotStarted", "Unavailable"]
MASTER_READY = "Master has completed initialization"
REGION_SERVER_READY = "Serving as "


@dataclasses.dataclass(frozen=True)
class GatewayConfig:
    """The settings of a Thrift gateway that matter to a pool; the defaults are HBase's own."""

    read_timeout_ms: int = 60_000
    max_workers: int = 1000
    framed: bool = False
    compact: bool = False
    https: bool = False
    """Serve HTTPS, with a certificate of its own (``Gateway.cafile``): HBase has TLS for its HTTP server only."""
    port: int = 0
    """0: one that is free."""
    host: str = LOOPBACK
    """The loopback address on which it listens."""
    retries: int | None = None
    """How often it asks HBase again before it tells its client of an error; None: HBase's default (15 times)."""


KEYSTORE_PASSWORD = "of a test"  # of a key that lives as long as its gateway


def https_settings(folder: Path) -> dict[str, object]:
    """The settings of a gateway that serves HTTPS; makes its key, and its certificate in ``cert.pem``."""
    store = folder / "keystore.p12"
    common = ["-keystore", str(store), "-storetype", "PKCS12", "-storepass", KEYSTORE_PASSWORD, "-alias", "gateway"]
    names = ["-dname", "CN=gateway", "-ext", f"san=ip:{LOOPBACK},dns:localhost"]
    made = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "2", *names]
    for command in (made, ["-exportcert", "-rfc", "-file", str(folder / "cert.pem")]):
        subprocess.run([tool("keytool"), *command, *common], capture_output=True, check=True)
    return {
        "hbase.regionserver.thrift.http": True,
        "hbase.thrift.ssl.enabled": True,
        "hbase.thrift.ssl.keystore.store": store,
        "hbase.thrift.ssl.keystore.type": "pkcs12",
        "hbase.thrift.ssl.keystore.password": KEYSTORE_PASSWORD,
        "hbase.thrift.ssl.keystore.keypassword": KEYSTORE_PASSWORD,
    }


class Gateway:
    """A Thrift gateway in front of a cluster."""

    def __init__(
        self, folder: Path, config: GatewayConfig, settings: dict[str, object], seconds: float, heap: str = "512m"
    ) -> None:
        self.config = config
        self.host = config.host
        self.port = config.port or free_ports(1, [self.host])[0]
        settings = settings | {
            "hbase.regionserver.thrift.ipaddress": self.host,
            "hbase.thrift.info.port": -1,
            "hbase.thrift.server.socket.read.timeout": config.read_timeout_ms,
            "hbase.thrift.minWorkerThreads": min(16, config.max_workers),
            "hbase.thrift.maxWorkerThreads": config.max_workers,
            "hbase.regionserver.thrift.framed": config.framed,
            "hbase.regionserver.thrift.compact": config.compact,
        }
        if config.retries is not None:
            settings["hbase.client.retries.number"] = config.retries
        self.cafile = folder / "cert.pem"
        folder.mkdir(parents=True)
        write_site(folder, settings | (https_settings(folder) if config.https else {}))
        self.jvm = start(folder, [GATEWAY, "start", "-p", str(self.port)], heap, seconds)
        self.jvm.wait_until(lambda: listening(self.host, self.port), "the Thrift gateway", 60)

    def stop(self) -> None:
        self.jvm.stop()


class Cluster:
    """The standalone master, and the region servers and gateways started on it; a context manager that stops them all.

    `seconds` bounds how long any of its processes may live, `heap` what each JVM but the gateways may allocate. The
    master's own region server is called `host`, a loopback address or a name of one. Raises Unavailable without
    Java or Maven, NotStarted when a JVM does not come up.
    """

    def __init__(self, seconds: float = 600.0, heap: str = "1g", host: str = "localhost") -> None:
        self._heap = heap
        self._end = time.monotonic() + seconds
        jars()
        self.folder = scratch_folder(STATE)
        self._gateways: list[Gateway] = []
        self._region_servers: list[Jvm] = []
        self._admin: Admin | None = None
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
            "hbase.regionserver.hostname": host,
            "hbase.master.ipc.address": LOOPBACK,
            "hbase.regionserver.ipc.address": LOOPBACK,
        }
        try:
            write_site(self.folder / "master", self._settings)
            self.master = start(self.folder / "master", [MASTER, "start"], heap, seconds)
            self.master.wait_until(lambda: MASTER_READY in self.master.said(), "HBase's master", 120)
        except BaseException:
            self._clean()
            raise

    def region_server(self, host: str) -> Jvm:
        """Start one more region server, which listens on the loopback address `host` and is known by it."""
        folder = self.folder / f"region-server-{len(self._region_servers)}"
        settings = self._settings | {
            "hbase.cluster.distributed": True,  # or it would not start apart from the master
            "hbase.regionserver.hostname": host,
            "hbase.regionserver.ipc.address": host,
            "hbase.regionserver.port": free_ports(1, [host])[0],
        }
        write_site(folder, settings)
        jvm = start(folder, [REGION_SERVER, "start"], self._heap, self._left())
        self._region_servers.append(jvm)
        jvm.wait_until(lambda: REGION_SERVER_READY in jvm.said(), f"the region server on {host}", 120)
        return jvm

    def gateway(self, config: GatewayConfig = GatewayConfig(), heap: str = "512m") -> Gateway:
        """Start one more Thrift gateway; it stops with the cluster, or by its own `stop()`."""
        folder = self.folder / f"gateway-{len(self._gateways)}"
        made = Gateway(folder, config, self._settings, self._left(), heap)
        self._gateways.append(made)
        return made

    def admin(self) -> Admin:
        """Start a program that does on the cluster what Thrift cannot ask for; it stops with the cluster."""
        if self._admin is None:
            self._admin = Admin(self.folder / "admin", self._settings)
        return self._admin

    def _left(self) -> float:
        return max(self._end - time.monotonic(), 1.0)

    def processes(self) -> Iterator[Jvm]:
        yield self.master
        yield from self._region_servers
        for gateway in self._gateways:
            yield gateway.jvm

    def stop(self) -> None:
        """Stop everything and remove what it wrote."""
        if self._admin is not None:
            self._admin.stop()
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
