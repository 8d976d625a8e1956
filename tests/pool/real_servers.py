"""Real servers for the examples, on loopback: started by the test, stopped with it, skipped where not installed."""

import contextlib
import glob
import os
import shutil
import signal
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
def leashed(command, port, folder, ready=("true",), seconds=SECONDS):
    """Run a server until the block ends; it is ready when its port accepts and the command ``ready`` succeeds.

    ``seconds``: when it ends by itself.
    """
    log = Path(folder, "log")
    with log.open("wb") as out:
        leash = subprocess.Popen(
            [sys.executable, str(LEASH), str(seconds), *command],
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
def redis_server(port=None, *options):
    server, port = program("redis-server"), port or free_port()
    quiet = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", str(port)]
    with scratch() as folder, leashed([server, *quiet, *options], port, folder) as address:
        yield address


class PostgresServer:
    """A PostgreSQL server that can be stopped and started again: the same data, on the same port."""

    def __init__(self, folder, drop, **settings):
        self.host, self.port = "127.0.0.1", free_port()
        self.dsn = f"host={self.host} port={self.port} user=postgres dbname=postgres"
        debian = "/usr/lib/postgresql/*/bin"
        initdb, server = program("initdb", debian), program("postgres", debian)
        self._folder = folder
        data = os.path.join(folder, "data")
        make = [*drop, initdb, "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "--locale", "C", "-E", "UTF8"]
        subprocess.run(make, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", **settings}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._command = [*drop, server, "-D", data, "-p", str(self.port), *options]
        self._ready = [program("pg_isready", debian), "-h", self.host, "-p", str(self.port)]
        self._running = contextlib.ExitStack()

    def start(self):
        """Return when the server accepts."""
        self._running.enter_context(leashed(self._command, self.port, self._folder, self._ready, 900))

    def stop(self):
        """End the server and its sessions at once, as a crash does."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(Path(self._folder, "data", "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
        self._running.close()


@contextlib.contextmanager
def redis_sentinel(master_port):
    """A sentinel that watches the Redis on this port under the name mymaster."""
    server, port = program("redis-server"), free_port()
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        f"sentinel monitor mymaster 127.0.0.1 {master_port} 1",
        "sentinel down-after-milliseconds mymaster 1000",
        "sentinel failover-timeout mymaster 5000",
    ]
    with scratch() as folder:
        Path(folder, "sentinel.conf").write_text("\n".join(lines))
        with leashed([server, "sentinel.conf", "--sentinel"], port, folder) as address:
            yield address


@contextlib.contextmanager
def postgres(**settings):
    """A new PostgreSQL server, started; its superuser is called postgres, and needs no password."""
    program("initdb", "/usr/lib/postgresql/*/bin")
    drop, user = [], None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = "postgres"
        drop = [program("setpriv"), "--reuid", user, "--regid", user, "--clear-groups"]
    with scratch(user) as folder:
        server = PostgresServer(folder, drop, **settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def postgres_server():
    """The address of a new PostgreSQL server; its superuser is called postgres, and needs no password."""
    with postgres() as server:
        yield f"{server.host}:{server.port}"


@contextlib.contextmanager
def pgbouncer(server, **settings):
    """The connection string of a pgbouncer before a PostgresServer; it pools transactions, of any user."""
    bouncer = program("pgbouncer", "/usr/sbin")
    drop, user, port = [], None, free_port()
    if os.geteuid() == 0:  # pgbouncer refuses to run as root
        user = "postgres"
        drop = [program("setpriv"), "--reuid", user, "--regid", user, "--clear-groups"]
    with scratch(user) as folder:
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            **settings,
        }
        lines = ["[databases]", f"* = host={server.host} port={server.port} user=postgres", "[pgbouncer]"]
        config = Path(folder, "pgbouncer.ini")
        config.write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in settings.items())]) + "\n")
        with leashed([*drop, bouncer, str(config)], port, folder):
            yield f"host=127.0.0.1 port={port} user=postgres dbname=postgres"


@contextlib.contextmanager
def mariadb_server(port=None):
    """A new MariaDB server with a database ``test``; its user ``fastpool`` may do everything, and needs no password."""
    install, server = program("mariadb-install-db"), program("mariadbd", "/usr/sbin")
    port = port or free_port()
    user = "mysql" if os.geteuid() == 0 else None
    with scratch(user) as folder:
        data, start = os.path.join(folder, "data"), Path(folder, "start.sql")
        start.write_text(  # a statement a line
            "CREATE DATABASE IF NOT EXISTS test;\n"
            "CREATE USER IF NOT EXISTS fastpool@'127.0.0.1';\n"
            "GRANT ALL PRIVILEGES ON *.* TO fastpool@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        common = ["--no-defaults", f"--datadir={data}", *([f"--user={user}"] if user else [])]
        small = ["--innodb-buffer-pool-size=32M", "--innodb-log-file-size=4M", "--innodb-flush-method=fsync"]
        make = [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db", *small]
        subprocess.run(make, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        socket_file = os.path.join(folder, "socket")
        run = [server, *common, *small, f"--port={port}", "--bind-address=127.0.0.1", f"--socket={socket_file}"]
        run += ["--skip-name-resolve", "--skip-log-bin", f"--init-file={start}", f"--pid-file={folder}/pid"]
        with leashed(run, port, folder) as address:
            yield address
