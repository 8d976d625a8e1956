"""The program of the child, for a server that runs in a process of its own."""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from .server import HBaseServer


def main(settings: dict[str, Any]) -> None:
    """Serve in this process until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    server = HBaseServer(**settings)
    try:
        server.start()
    except OSError as error:
        print(json.dumps({"error": error.strerror, "errno": error.errno}), flush=True)
        return
    with server:
        print(json.dumps({"address": [server.host, server.port]}), flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            number = request.pop("number")
            print(json.dumps({"number": number, **_do(server, request)}), flush=True)


def _do(server: Any, request: dict[str, Any]) -> dict[str, Any]:
    what = request.pop("do")
    if what == "count":
        return {"opened": server.connections_opened, "open": server.connections_open, "calls": server.calls}
    if what == "drop":
        return {"dropped": server.drop_connections(**request)}
    if what == "wait":
        return {"reached": server.wait_connections(**request)}
    server.slow(**request)
    return {}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
