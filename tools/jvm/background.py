"""The commands `start`, `stop` and `run` of tools/hbase and tools/cassandra."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Protocol

from tools.jvm.program import HERE, Jvm, NotStarted, Unavailable, alive

ROOT = HERE.parent.parent
START_S = 300.0  # Maven's first download included


class Cluster(Protocol):
    """Running JVMs, which stop when the block ends."""

    def __enter__(self) -> object: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def processes(self) -> Iterable[Jvm]: ...


@dataclasses.dataclass(frozen=True)
class Commands:
    """One kind of server as a program: `python -m MODULE start | stop | run`."""

    name: str
    """For messages: HBase."""
    module: str
    """What `python -m` runs; a process whose command line has it is one of ours."""
    state: Path
    """The folder where `start` notes what it started."""
    make: Callable[[argparse.Namespace], tuple[Cluster, Callable[[], dict[str, str]]]]
    """Start the cluster of these arguments; give it, and what starts the rest and gives the environment's variables."""
    add_arguments: Callable[[argparse.ArgumentParser], None]
    """Give `start` and `run` the arguments of this kind of server."""
    add_commands: Callable[[argparse._SubParsersAction[argparse.ArgumentParser]], None] = lambda commands: None
    """Add more commands, if it has any."""

    @property
    def noted(self) -> Path:
        return self.state / "running.json"

    def is_ours(self, pid: int) -> bool:
        """Whether the process with this id is one of this program's, not a later one with the same id."""
        shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return self.module in shown.stdout

    def running(self) -> dict[str, object] | None:
        """The note that `start` wrote, if the processes it started still run; else None."""
        with contextlib.suppress(OSError, ValueError):
            noted: dict[str, object] = json.loads(self.noted.read_text())
            if self.is_ours(int(str(noted["pid"]))):
                return noted
        return None

    def run(self, args: argparse.Namespace) -> int:
        """Hold a cluster until the command, the seconds, or the process that it goes with have ended."""
        over = threading.Event()

        def end(_signal: int, _frame: FrameType | None) -> None:
            over.set()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        cluster, environment = self.make(args)
        with cluster:
            where = environment()
            if args.state:
                scratch = self.noted.with_suffix(f".{os.getpid()}")
                scratch.write_text(json.dumps({"pid": os.getpid(), **where}))
                scratch.replace(self.noted)
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
                    print(f"{self.name} ended by itself", file=sys.stderr)
                    return 1
            if args.state:
                self.noted.unlink(missing_ok=True)
            if command is None:
                return 0
            if command.poll() is None:
                command.terminate()
            return command.wait()

    def start(self, args: argparse.Namespace) -> int:
        """Start `run` in the background, and wait until it is ready."""
        noted = self.running()
        if noted is None:
            self.state.mkdir(parents=True, exist_ok=True)
            self.noted.unlink(missing_ok=True)
            log = self.state / "start.log"
            with log.open("wb") as stream:
                child = subprocess.Popen(
                    [sys.executable, "-m", self.module, "run", "--state", *args.given],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    cwd=ROOT,
                )
            end = time.monotonic() + START_S
            while (noted := self.running()) is None:
                if child.poll() is not None or time.monotonic() > end:
                    child.terminate()
                    print(f"{self.name} did not start:\n{log.read_text(errors='replace')}", file=sys.stderr)
                    return 1
                time.sleep(0.1)
        for name, value in noted.items():
            if name != "pid":
                print(f"export {name}={value}")
        print(f"# process {noted['pid']}; it stops by itself, or by: python -m {self.module} stop")
        return 0

    def stop(self, _args: argparse.Namespace) -> int:
        """End what `start` started; it is no error if nothing is running."""
        noted = self.running()
        if noted is None:
            print(f"{self.name} is not running")
            return 0
        pid = int(str(noted["pid"]))
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 60
        while self.is_ours(pid) and time.monotonic() < end:
            time.sleep(0.1)
        if self.is_ours(pid):
            print(f"{self.name}'s process {pid} does not end", file=sys.stderr)
            return 1
        print(f"{self.name} is stopped")
        return 0

    def main(self, argv: list[str], description: str | None) -> int:
        """Run the command that `argv` names; returns the exit status."""
        parser = argparse.ArgumentParser(
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            prog=f"python -m {self.module}",
        )
        commands = parser.add_subparsers(dest="what", required=True)
        commands.add_parser("stop").set_defaults(call=self.stop)
        for name, call in (("start", self.start), ("run", self.run)):
            command = commands.add_parser(name)
            command.set_defaults(call=call)
            command.add_argument("--for", dest="seconds", type=float, default=3600.0, metavar="SECONDS")
            command.add_argument(
                "--with", dest="companion", type=int, metavar="PID", help="stop when this process ends"
            )
            self.add_arguments(command)
            if name == "run":
                command.add_argument("--state", action="store_true", help=argparse.SUPPRESS)
                command.add_argument("command", nargs="*")
        self.add_commands(commands)
        args = parser.parse_args(argv)
        args.given = argv[1:]
        try:
            return int(args.call(args))
        except (Unavailable, NotStarted) as error:
            print(error, file=sys.stderr)
            return 1
