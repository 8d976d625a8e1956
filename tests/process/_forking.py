"""Programs that fork, connected to a server that records everything it receives."""

from __future__ import annotations

import os

from ._scripts import run

PRELUDE = """
import gc, os, signal, sys, threading, warnings
sys.path.insert(0, {here!r})
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 on: a fork with threads running is what is tested here
from _wire import EchoServer, ended_well, in_child, pool_on, untouched
server = EchoServer()
me = os.getpid()

def work_at_once(pool):
    with pool.connection(timeout=5) as c:
        c.ask("child")
    assert pool.stats().leased == 0, pool.stats()
"""


def forking(program: str, **options: float) -> str:
    here = os.path.dirname(os.path.abspath(__file__))
    return run(PRELUDE.format(here=here) + program, **options)  # type: ignore[arg-type]
