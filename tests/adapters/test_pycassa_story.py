"""One program, run by pycassa 1.11.2 under Python 2.7 and by the adapter, tells the same story of events."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from thriftpy2.thrift import TApplicationException

from fastpool.adapters import pycassa
from fastpool.adapters.pycassa import ttypes as t

from . import _pycassa_story, pycassa_27
from ._cassandra import Call, FakeCassandra

FAULTS = {b"time-out": t.TimedOutException, b"unavailable": t.UnavailableException}


class Faults:
    """Keys say what goes wrong: `time-out:2:a` times out twice, and is good then."""

    def __init__(self) -> None:
        self.seen: Counter[bytes] = Counter()

    def __call__(self, call: Call) -> Any:
        what, _, rest = (getattr(call.args, "key", None) or b"").partition(b":")
        if not rest:
            return None
        times = int(rest.split(b":")[0])
        self.seen[call.args.key] += 1
        if self.seen[call.args.key] > times:
            return None
        if what == b"hang-up":
            raise OSError
        if what == b"invalid":
            return t.InvalidRequestException(why="no")
        if what == b"broken":
            return TApplicationException(TApplicationException.INTERNAL_ERROR, "no")
        return FAULTS[what]()


def theirs(address: str) -> Any:
    try:
        return json.loads(pycassa_27.run(str(Path(_pycassa_story.__file__)), address))
    except pycassa_27.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def stories() -> Any:
    """pycassa's, and the adapter's."""
    told = []
    for teller in (theirs, lambda address: _pycassa_story.play(address, pycassa, t)):
        with FakeCassandra() as server:
            server.script = Faults()
            told.append(teller(server.address))
    return told[0], json.loads(json.dumps(told[1]))


@pytest.mark.parametrize("act", [act.__name__ for act in _pycassa_story.ACTS])
def test_the_same_story(stories: Any, act: str) -> None:
    expected, got = ({name: [outcome, events] for name, outcome, events in story}[act] for story in stories)
    assert got == expected
