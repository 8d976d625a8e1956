"""Real servers for the examples, on loopback: started by the test, stopped with it, skipped where not installed."""

import contextlib
import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

LEASH = Path(__file__).resolve().parents[2] / "tools" / "jvm" / "leash.py"
SECONDS = 120  # after that a server ends by itself, even if the test was killed


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def bound(sock):
    """Bind a socket that does not listen; its address refuses connections while the socket is open."""
    sock.bind(("127.0.0.1", 0))
    return sock.getsockname()


def program(name, *folders):
    """The path of a program; the test is skipped if it is not found."""
    places = sorted(place for folder in folders for place in glob.glob(folder))
    found = shutil.which(name, path=os.pathsep.join([*places[::-1], os.environ.get("PATH", "")]))
    if found is None or not LEASH.exists():
        pytest.skip(f"{name} is not installed")
    return found


@contextlib.contextmanager
def leashed(command, port, folder, ready=("true",)):
    """Run a server until the block ends; it is ready when its port accepts and the command ``ready`` succeeds."""
    log = Path(folder, "log")
    with log.open("wb") as out:
        leash = subprocess.Popen(
            [sys.executable, str(LEASH), str(SECONDS), *command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            cwd=folder,
        )
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                if subprocess.run(ready, stdout=subprocess.DEVNULL, cwd=folder).returncode == 0:
                    break
            if leash.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command} did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        leash.stdin.close()
        leash.wait(30)


@contextlib.contextmanager
def scratch(user=None):
    """A temporary folder that another user can reach and own."""
    folder = tempfile.mkdtemp(prefix="fastpool-")
    try:
        if user is not None:
            shutil.chown(folder, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def redis_server(port=None):
    server, port = program("redis-server"), port or free_port()
    quiet = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", str(port)]
    with scratch() as folder, leashed([server, *quiet], port, folder) as address:
        yield address


@contextlib.contextmanager
def postgres_server(**settings):
    """A new PostgreSQL server; its superuser is called postgres, and needs no password."""
    with postgres_data() as start, start(**settings) as address:
        yield address


@contextlib.contextmanager
def postgres_data():
    """A new PostgreSQL's data; yields what starts a server on them, as a context manager, on the same port each time.

    Its keywords are settings of the server. At the end of the block it disconnects its clients.
    """
    debian = "/usr/lib/postgresql/*/bin"
    initdb, server = program("initdb", debian), program("postgres", debian)
    drop, user = [], None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = "postgres"
        drop = [program("setpriv"), "--reuid", user, "--regid", user, "--clear-groups"]
    port = free_port()
    ready = [program("pg_isready", debian), "-h", "127.0.0.1", "-p", str(port)]
    with scratch(user) as folder:
        data = os.path.join(folder, "data")
        make = [*drop, initdb, "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "--locale", "C"]
        subprocess.run(make, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        stop = [*drop, program("pg_ctl", debian), "stop", "-D", data, "-m", "fast"]

        @contextlib.contextmanager
        def start(**settings):
            settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", **settings}
            options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            with leashed([*drop, server, "-D", data, "-p", str(port), *options], port, folder, ready) as address:
                try:
                    yield address
                finally:
                    subprocess.run(stop, cwd=folder, stdout=subprocess.DEVNULL)

        yield start
