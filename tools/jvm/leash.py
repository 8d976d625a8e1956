"""Run one command that must not outlive its starter: `leash.py SECONDS COMMAND…`, standard input a pipe.

The command is ended (asked first, then made to) when the pipe closes, which is also what happens when the starter
is killed; when the seconds are over; or when the leash itself is asked to end. SIGUSR1 kills the command at once. Exits
with the command's status.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

GRACE_S = 2.0  # its output is discarded, so it need not finish
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """On Linux the command gets SIGKILL even if the leash is killed in a way that it cannot handle."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(seconds: float, command: list[str]) -> int:
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the starter, which closes the pipe when it is ready
    linux = sys.platform == "linux"
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent if linux else None
    )

    signal.signal(signal.SIGUSR1, lambda *_: child.kill())

    def watch_starter() -> None:
        while os.read(0, 1024):
            continue
        over.set()

    def watch_child() -> None:
        child.wait()
        over.set()

    for watch in (watch_starter, watch_child):
        threading.Thread(target=watch, daemon=True).start()
    over.wait(seconds)
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


if __name__ == "__main__":
    status = main(float(sys.argv[1]), sys.argv[2:])
    sys.stdout.flush()
    os._exit(status & 0xFF)  # a daemon thread may still be reading standard input: do not wait for it
