"""Views that use the pool of the settings, by its name."""

import os
import socket
from collections import Counter

from django.conf import settings
from django.http import HttpRequest, JsonResponse

import fastpool

VERSION = 1  # the test edits this line
in_use: Counter[int] = Counter()  # requests at this moment, by descriptor: with a GIL, += is good enough to accuse


def version(request: HttpRequest) -> JsonResponse:
    """Which version of this file runs, in which process; the pool is not used."""
    return JsonResponse({"version": VERSION, "pid": os.getpid(), "open": len(settings.HBASE)})


def row(request: HttpRequest, number: int) -> JsonResponse:
    """One row, and by which connection it came."""
    pool = fastpool.get_pool("shop")
    assert pool is settings.HBASE
    with pool.connection() as connection:
        descriptor = pool.driver.fileno(connection)
        in_use[descriptor] += 1
        sharers = in_use[descriptor]
        found = connection.table("t").row(b"row-%d" % number)
        in_use[descriptor] -= 1
        with socket.socket(fileno=os.dup(descriptor)) as same:
            port = same.getsockname()[1]
    return JsonResponse({"row": found[b"f:a"].decode(), "pid": os.getpid(), "port": port, "sharers": sharers})
