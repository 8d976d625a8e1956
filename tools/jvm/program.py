"""Java programs for tests: their jars come in by Maven, and each JVM runs on a leash (leash.py).

What tools/hbase and tools/cassandra have in common. A JVM ends with the process that started it, or after `seconds`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".cache"
LOOPBACK = "127.0.0.1"
TRIES = 2
FRUGAL = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true")


class Unavailable(Exception):
    """A real server cannot be had on this machine; the message says what is missing."""


class NotStarted(Exception):
    """A JVM ended, or was not ready in time; the message ends with the last lines of its log."""


def tool(name: str) -> str:
    """Find `name` in JAVA_HOME or on the PATH."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(name, path=os.path.join(home, "bin")) if home else None
    found = found or shutil.which(name)
    if found is None:
        raise Unavailable(f"a real server needs java and mvn: no {name} in JAVA_HOME or on the PATH")
    return found


@functools.cache
def java_version(path: str) -> str:
    """The first number of the version of this Java. Asked once: it starts a JVM."""
    said = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    if match is None:
        raise Unavailable(f"{path} -version does not say which version it is: {said.strip()!r}")
    return match[1]


def java(opens: Iterable[str] = (), exports: Iterable[str] = ()) -> list[str]:
    """The command that starts a Java program, with these modules' packages opened to it from Java 9 on."""
    path = tool("java")
    if java_version(path) == "1":  # Java 8 calls itself 1.8, and knows no modules
        return [path]
    return [
        path,
        *(f"--add-opens={name}=ALL-UNNAMED" for name in opens),
        *(f"--add-exports={name}=ALL-UNNAMED" for name in exports),
    ]


def text(value: object) -> str:
    """A setting as Java programs read it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def jars(pom: Path, lib: Path) -> Path:
    """Give the folder `lib` with what `pom` depends on, bringing it in by Maven the first time."""
    stamp = lib / "pom.xml"
    if stamp.exists() and stamp.read_bytes() == pom.read_bytes():
        return lib
    command = [tool("mvn"), "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    lib.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=lib.parent, prefix="lib-") as scratch:
        command.append(f"-DoutputDirectory={scratch}/lib")
        for _ in range(TRIES):  # what a broken download left behind is not brought in again
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
        else:
            raise Unavailable(f"mvn could not bring in {pom} (status {done.returncode}):\n{done.stdout[-2000:]}")
        fresh = Path(scratch, "lib")
        shutil.copy(pom, fresh / "pom.xml")  # last: a folder with this file is whole
        shutil.rmtree(lib, ignore_errors=True)
        fresh.rename(lib)
    return lib


def free_ports(n: int, hosts: Iterable[str] = (LOOPBACK,)) -> list[int]:
    """Find n different ports that nobody listens on at any of these addresses."""
    addresses = list(hosts)
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < n:
            with contextlib.ExitStack() as tried:
                port = 0
                try:
                    for host in addresses:
                        s = tried.enter_context(socket.socket())
                        s.bind((host, port))
                        port = s.getsockname()[1]
                except OSError as error:
                    if port == 0:  # not a port that is taken there, but no such address
                        raise Unavailable(f"{host} is no address of this machine: {error}") from None
                    continue
                held.enter_context(tried.pop_all())
                found.append(port)
    return found


def listening(host: str, port: int) -> bool:
    """Whether a connect to this address succeeds."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
        return True
    return False


def alive(pid: int) -> bool:
    """Whether there is a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def scratch_folder(state: Path) -> Path:
    """Make a folder `run-PID-…` for this process in `state`; removes those that killed processes left."""
    for folder in state.glob("run-*-*"):
        if not alive(int(folder.name.split("-")[1])):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=state, prefix=f"run-{os.getpid()}-"))


class Jvm:
    """One Java program on a leash; what it prints goes to `folder`/log, which is emptied first.

    `command` is what `java()` gives and the program's own arguments; `folder` is its working directory.
    """

    def __init__(self, folder: Path, command: list[str], seconds: float) -> None:
        self.log = folder / "log"
        leash = [sys.executable, str(HERE / "leash.py"), str(seconds)]
        with self.log.open("wb") as log:
            self._leash = subprocess.Popen(
                [*leash, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
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
        """Close the leash's pipe, and wait until the JVM is gone; asked to end, it gets two seconds."""
        assert self._leash.stdin is not None
        self._leash.stdin.close()
        self._leash.wait(30)

    def kill(self) -> None:
        """End the JVM at once, as a crash would: it gets no chance to write or to say goodbye."""
        self._leash.send_signal(signal.SIGUSR1)
        self.stop()

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
