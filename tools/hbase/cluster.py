"""A real HBase for tests: a standalone master (with its region server and ZooKeeper) and any number of Thrift gateways.

Everything listens on loopback, on ports that were free, keeps its state under `.cache/hbase` and is thrown away
when it stops. Each JVM runs on a leash (leash.py): it ends with the process that started it, or after `seconds`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
STATE = HERE.parent.parent / ".cache" / "hbase"
TRIES = 2
LOOPBACK = "127.0.0.1"
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


class Unavailable(Exception):
    """A real HBase cannot be had on this machine; the message says what is missing."""


class NotStarted(Exception):
    """A JVM ended, or was not ready in time; the message ends with the last lines of its log."""


@dataclasses.dataclass(frozen=True)
class GatewayConfig:
    """What of a Thrift gateway's settings matters to a pool; the defaults are HBase's own."""

    read_timeout_ms: int = 60_000
    max_workers: int = 1000
    framed: bool = False
    compact: bool = False
    https: bool = False
    """Serve HTTPS, with a certificate of its own (``Gateway.cafile``): HBase has TLS for its HTTP server only."""
    port: int = 0
    """0: one that is free."""


def tool(name: str) -> str:
    """Find `name` in JAVA_HOME or on the PATH."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(name, path=os.path.join(home, "bin")) if home else None
    found = found or shutil.which(name)
    if found is None:
        raise Unavailable(f"a real HBase needs java and mvn: no {name} in JAVA_HOME or on the PATH")
    return found


def java() -> list[str]:
    """The command that starts a Java program, with what HBase needs opened to it from Java 9 on."""
    path = tool("java")
    said = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    if match is None:
        raise Unavailable(f"{path} -version does not say which version it is: {said.strip()!r}")
    if match[1] == "1":  # Java 8 calls itself 1.8, and knows no modules
        return [path]
    opens = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENS]
    return [path, *opens, "--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED"]


def jars() -> Path:
    """Give the folder with HBase's 150 jars, bringing them in by Maven the first time (108 MB)."""
    lib = STATE / "lib"
    stamp = lib / "pom.xml"
    pom = HERE / "pom.xml"
    if stamp.exists() and stamp.read_bytes() == pom.read_bytes():
        return lib
    command = [tool("mvn"), "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    STATE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE, prefix="lib-") as scratch:
        command.append(f"-DoutputDirectory={scratch}/lib")
        for _ in range(TRIES):  # what a broken download left behind is not brought in again
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
        else:
            raise Unavailable(f"mvn could not bring HBase's jars (status {done.returncode}):\n{done.stdout[-2000:]}")
        fresh = Path(scratch, "lib")
        shutil.copy(pom, fresh / "pom.xml")  # last: a folder with this file is whole
        shutil.rmtree(lib, ignore_errors=True)
        fresh.rename(lib)
    return lib


def free_ports(n: int) -> list[int]:
    """Find n different loopback ports that nobody listens on."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets:
            s.bind((LOOPBACK, 0))
        return [s.getsockname()[1] for s in sockets]


def alive(pid: int) -> bool:
    """Is there a process with this id?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sweep() -> None:
    """Remove what clusters left whose process was killed before it could."""
    for folder in STATE.glob("run-*-*"):
        if not alive(int(folder.name.split("-")[1])):
            shutil.rmtree(folder, ignore_errors=True)


def write_site(folder: Path, settings: dict[str, object]) -> None:
    """Write `hbase-site.xml` and the logging set-up: the gateway takes no other way of being told."""
    folder.mkdir(parents=True, exist_ok=True)
    body = "".join(
        f"  <property><name>{escape(name)}</name><value>{escape(text(value))}</value></property>\n"
        for name, value in settings.items()
    )
    (folder / "hbase-site.xml").write_text(f"<configuration>\n{body}</configuration>\n")
    (folder / "log4j.properties").write_text(LOG4J)


def text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Jvm:
    """One Java program on a leash."""

    def __init__(self, folder: Path, program: list[str], heap: str, seconds: float) -> None:
        self.log = folder / "log"
        command = [sys.executable, str(HERE / "leash.py"), str(seconds), *java(), f"-Xmx{heap}"]
        command += ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"]
        command += [f"-Djava.io.tmpdir={folder}", "-cp", f"{folder}{os.pathsep}{jars()}/*", *program]
        with self.log.open("wb") as log:
            self._leash = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """The leash's process id."""
        return self._leash.pid

    def running(self) -> bool:
        return self._leash.poll() is None

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """Close the leash's pipe, and wait until the JVM is gone."""
        assert self._leash.stdin is not None
        self._leash.stdin.close()
        self._leash.wait(30)

    def wait_until(self, ready: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until `ready()`; raises NotStarted when the JVM has ended or the seconds are over."""
        end = time.monotonic() + seconds
        while not ready():
            if not self.running() or time.monotonic() > end:
                why = f"was not ready within {seconds:.0f} s" if self.running() else "ended"
                tail = "\n".join(self.said().splitlines()[-25:])
                self.stop()
                raise NotStarted(f"{what} {why}; the end of its log:\n{tail}")
            time.sleep(0.05)


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
        self.cafile = folder / "cert.pem"
        folder.mkdir(parents=True)
        write_site(folder, settings | (https_settings(folder) if config.https else {}))
        self.jvm = Jvm(folder, [GATEWAY, "start", "-p", str(self.port)], "512m", seconds)
        self.jvm.wait_until(self._listening, "the Thrift gateway", 60)

    def _listening(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 1):
            return True
        return False

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
        sweep()
        self.folder = Path(tempfile.mkdtemp(dir=STATE, prefix=f"run-{os.getpid()}-"))
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
            self.master = Jvm(self.folder / "master", [MASTER, "start"], "1g", seconds)
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
