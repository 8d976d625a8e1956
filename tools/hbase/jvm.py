"""HBase's programs: its jars, and the JVMs that run them, each on a leash (leash.py)."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
STATE = HERE.parent.parent / ".cache" / "hbase"
TRIES = 2
LOOPBACK = "127.0.0.1"
MASTER = "org.apache.hadoop.hbase.master.HMaster"
REGION_SERVER = "org.apache.hadoop.hbase.regionserver.HRegionServer"
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
FRUGAL = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"]
LOG4J = f"""\
log4j.rootLogger=WARN,err
log4j.logger.{MASTER}=INFO
log4j.logger.{REGION_SERVER}=INFO
log4j.appender.err=org.apache.log4j.ConsoleAppender
log4j.appender.err.target=System.err
log4j.appender.err.layout=org.apache.log4j.PatternLayout
log4j.appender.err.layout.ConversionPattern=%d %-5p [%t] %c{{2}}: %m%n
"""


class Unavailable(Exception):
    """A real HBase cannot be had on this machine; the message says what is missing."""


class NotStarted(Exception):
    """A JVM ended, or was not ready in time; the message ends with the last lines of its log."""


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


def free_ports(n: int, host: str = LOOPBACK) -> list[int]:
    """Find n different ports of a loopback address that nobody listens on."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets:
            s.bind((host, 0))
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
        command += FRUGAL
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

    def kill(self) -> None:
        """Kill the JVM and its leash, as a machine that fails does."""
        os.killpg(self._leash.pid, signal.SIGKILL)
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


class Admin:
    """AdminProgram.java, for tables of several regions, moves and splits; it ends with this process."""

    def __init__(self, folder: Path, settings: dict[str, object]) -> None:
        write_site(folder, settings)
        self.log = folder / "log"
        command = [
            *java(),
            "-Xmx128m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Djava.net.preferIPv4Stack=true",
        ]
        command += ["-cp", f"{folder}{os.pathsep}{jars()}/*", str(HERE / "AdminProgram.java")]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder
            )

    def ask(self, *words: str) -> str:
        """Have a command carried out, and return what it gives; NotStarted if it fails."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().rstrip("\n")
        if not answer.startswith("ok "):
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])
            raise NotStarted(f"{' '.join(words)} failed: {answer or 'the program has ended'}\n{tail}")
        return answer.removeprefix("ok ")

    def stop(self) -> None:
        """End its input, and it with that."""
        self._process.communicate(timeout=30)
