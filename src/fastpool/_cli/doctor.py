"""The command `fastpool doctor`. It needs nothing beside fastpool, so that it also works where little is installed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from .._doctor import doctor, facts

_ABOUT = """Print what a bug report needs, to paste as it is: versions, how the core was built, the platform, the
limits of this process, and the shared pools of this user on this machine. It has no names of hosts, users, pools or
files, and no values of environment variables. In an application, print(fastpool.doctor()) shows the pools of its
process, too."""


def run(arguments: Sequence[str]) -> None:
    """Print the report; the arguments are those after ``doctor``."""
    parser = argparse.ArgumentParser(prog="fastpool doctor", description=_ABOUT)
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    given = parser.parse_args(arguments)
    text = json.dumps(facts(), indent=2) if given.json else doctor()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    print(text)
