"""HAProxy (Debian's package, or any other 2.x) before a list of gateways, on loopback, for as long as a block runs."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.concurrency._told import eventually

LEASH = Path(__file__).resolve().parent.parent.parent / "tools" / "jvm" / "leash.py"
LIVES_S = 300.0
WITHIN_S = 20.0
# What docs/servers.md recommends; the tests shorten its times.
CONFIG = """\
global
    stats socket {folder}/admin mode 600 level admin

defaults
    mode tcp
    timeout connect {connect}
    timeout client {client}
    timeout server {server}
    timeout queue {queue}

frontend thrift
    bind 127.0.0.1:{port}
    default_backend gateways

backend gateways
    balance {balance}
    default-server check inter {inter} fall 2 rise 2 maxconn {maxconn} on-marked-down shutdown-sessions {more}
{servers}
"""
DEFAULTS: Mapping[str, object] = {
    "connect": "1s", "client": "60s", "server": "60s", "queue": "1s", "balance": "leastconn", "inter": "100ms",
    "maxconn": 50, "more": "",
}  # fmt: skip


def binary() -> str:
    """HAProxy's program; the test is skipped if there is none."""
    found = shutil.which("haproxy", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if found is None:
        pytest.skip("no haproxy on the PATH (Debian: apt-get install haproxy)")
    return found


class HAProxy:
    """A running HAProxy: where it listens, and what it says of its servers (gateway0, gateway1 …)."""

    host = "127.0.0.1"

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder

    def ask(self, command: str) -> str:
        """Send a command to its admin socket; the answer."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(WITHIN_S)
            admin.connect(str(self._folder / "admin"))
            admin.sendall(command.encode() + b"\n")
            answer = b""
            while data := admin.recv(65536):
                answer += data
        return answer.decode()

    def state(self, number: int, state: str) -> None:
        """Set the state of a server: ready, drain or maint."""
        assert self.ask(f"set server gateways/gateway{number} state {state}").strip() == ""

    def servers(self) -> dict[int, dict[str, str]]:
        """HAProxy's figures of each server."""
        rows = csv.DictReader(self.ask("show stat").removeprefix("# ").splitlines())
        return {int(row["svname"][7:]): row for row in rows if row["svname"].startswith("gateway")}

    def up(self) -> set[int]:
        """The servers that take new connections."""
        return {number for number, row in self.servers().items() if row["status"].startswith("UP")}

    def wait_up(self, *numbers: int) -> None:
        """Wait until these servers, and no others, take new connections."""
        assert eventually(lambda: self.up() == set(numbers), WITHIN_S), f"{self.up()} are up, not {set(numbers)}"


@contextlib.contextmanager
def haproxy(addresses: list[tuple[str, int]], **settings: object) -> Iterator[HAProxy]:
    """HAProxy before these servers, with CONFIG; ``settings`` instead of DEFAULTS."""
    program = binary()
    with tempfile.TemporaryDirectory(prefix="fastpool-haproxy-") as scratch:
        folder = Path(scratch)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        servers = "\n".join(f"    server gateway{n} {host}:{p}" for n, (host, p) in enumerate(addresses))
        config = folder / "haproxy.cfg"
        config.write_text(CONFIG.format(**{**DEFAULTS, **settings}, folder=folder, port=port, servers=servers))
        with (folder / "log").open("wb") as log:
            leash = subprocess.Popen(
                [sys.executable, str(LEASH), str(LIVES_S), program, "-db", "-f", str(config)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        made = HAProxy(folder, port)
        try:
            end = time.monotonic() + WITHIN_S
            while not (folder / "admin").exists() or len(made.up()) < len(addresses):
                assert leash.poll() is None and time.monotonic() < end, (folder / "log").read_text()
                time.sleep(0.02)
            yield made
        finally:
            assert leash.stdin is not None
            leash.stdin.close()
            leash.wait(WITHIN_S)
