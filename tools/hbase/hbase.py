"""A real HBase with its Thrift gateway, on loopback, for trying things out: `hbase.py start`, `stop`, `run`.

    hbase.py start                    in the background, for at most --for seconds; prints where it listens
    hbase.py stop                     ends what `start` started
    hbase.py run -- pytest …          as long as the command runs, with HAPPYBASE_HOST and HAPPYBASE_PORT set
    hbase.py run                      until Ctrl-C

Needs Java and Maven; the first time Maven brings in HBase's jars (108 MB). Jars and
state are under `.cache/hbase`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
from tools.hbase.cluster import STATE, Cluster, Gateway, GatewayConfig, NotStarted, Unavailable, alive

RUNNING = STATE / "running.json"
LOG = STATE / "start.log"
START_S = 300.0  # Maven's first download included


def is_ours(pid: int) -> bool:
    """Is the process with this id one of this program's, and not a later one with the same id?"""
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return Path(__file__).name in shown.stdout


def running() -> dict[str, object] | None:
    """What `start` wrote, if what it started is still there."""
    with contextlib.suppress(OSError, ValueError):
        state: dict[str, object] = json.loads(RUNNING.read_text())
        if is_ours(int(str(state["pid"]))):
            return state
    return None


def environment(gateway: Gateway) -> dict[str, str]:
    """The variables that happybase's own tests look at, and the protocol, which they do not."""
    config = gateway.config
    return {
        "HAPPYBASE_HOST": gateway.host,
        "HAPPYBASE_PORT": str(gateway.port),
        "HAPPYBASE_TRANSPORT": "framed" if config.framed else "buffered",
        "HAPPYBASE_PROTOCOL": "compact" if config.compact else "binary",
    }


def run(args: argparse.Namespace) -> int:
    """Hold a cluster until the command, the seconds, or the process that it goes with have ended."""
    over = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        over.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with Cluster(args.seconds) as cluster:
        config = GatewayConfig(args.read_timeout_ms, args.max_workers, args.framed, args.compact, args.port)
        gateway = cluster.gateway(config)
        where = environment(gateway)
        state = {"pid": os.getpid(), **where}
        if args.state:
            scratch = RUNNING.with_suffix(f".{os.getpid()}")
            scratch.write_text(json.dumps(state))
            scratch.replace(RUNNING)
        else:
            print(" ".join(f"{name}={value}" for name, value in where.items()), flush=True)
        command = subprocess.Popen(args.command, env=os.environ | where) if args.command else None
        ends = time.monotonic() + args.seconds
        starter = None if args.state else os.getppid()  # what `start` leaves in the background outlives it
        while not over.wait(0.2) and time.monotonic() < ends:
            if command is not None and command.poll() is not None:
                break
            if args.companion is not None and not alive(args.companion):
                break
            if starter is not None and os.getppid() != starter:
                break
            if not all(jvm.running() for jvm in cluster.processes()):
                print("HBase ended by itself", file=sys.stderr)
                return 1
        if args.state:
            RUNNING.unlink(missing_ok=True)
        if command is None:
            return 0
        if command.poll() is None:
            command.terminate()
        return command.wait()


def start(args: argparse.Namespace) -> int:
    """Start `run` in the background, and wait until it is ready."""
    state = running()
    if state is None:
        STATE.mkdir(parents=True, exist_ok=True)
        RUNNING.unlink(missing_ok=True)
        with LOG.open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, __file__, "run", "--state", *args.given],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + START_S
        while (state := running()) is None:
            if child.poll() is not None or time.monotonic() > end:
                child.terminate()
                print(f"HBase did not start:\n{LOG.read_text(errors='replace')}", file=sys.stderr)
                return 1
            time.sleep(0.1)
    for name, value in state.items():
        if name != "pid":
            print(f"export {name}={value}")
    print(f"# process {state['pid']}; it stops by itself, or by: {Path(sys.argv[0]).name} stop")
    return 0


def stop(_args: argparse.Namespace) -> int:
    """End what `start` started; it is no error if nothing is running."""
    state = running()
    if state is None:
        print("HBase is not running")
        return 0
    pid = int(str(state["pid"]))
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 60
    while is_ours(pid) and time.monotonic() < end:
        time.sleep(0.1)
    if is_ours(pid):
        print(f"HBase's process {pid} does not end", file=sys.stderr)
        return 1
    print("HBase is stopped")
    return 0


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("stop").set_defaults(call=stop)
    for name, call in (("start", start), ("run", run)):
        command = commands.add_parser(name)
        command.set_defaults(call=call)
        command.add_argument("--for", dest="seconds", type=float, default=3600.0, metavar="SECONDS")
        command.add_argument("--with", dest="companion", type=int, metavar="PID", help="stop when this process ends")
        command.add_argument("--read-timeout-ms", type=int, default=60_000, help="hang up on silence after so long")
        command.add_argument("--max-workers", type=int, default=1000, help="connections served at once")
        command.add_argument("--framed", action="store_true", help="framed transport, not buffered")
        command.add_argument("--compact", action="store_true", help="compact protocol, not binary")
        command.add_argument("--port", type=int, default=0, help="the gateway's port (default: a free one)")
        if name == "run":
            command.add_argument("--state", action="store_true", help=argparse.SUPPRESS)
            command.add_argument("command", nargs="*")
    return parser


def main(argv: list[str]) -> int:
    args = options().parse_args(argv)
    args.given = argv[1:]
    try:
        return int(args.call(args))
    except (Unavailable, NotStarted) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
