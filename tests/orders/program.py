"""program.py CORE FAULT HOW SCENE…: walk all orders of each scene, or some; a line of JSON for each.

FAULT: the number of a seeded fault, 0 for none. HOW: `all`; `first:N` of all; a number, of orders drawn by the seeds 1,
2 …; or an order to replay, as a failure printed it (`a12 b3 a1`), which prints what happens.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def orders(play: Any, how: str) -> Iterator[Any]:
    """The runs of a scene."""
    if how == "all" or how.startswith("first:"):
        from tests.orders.walk import Walk

        yield from itertools.islice(Walk(play), None if how == "all" else int(how.removeprefix("first:")))
    elif how.isdigit():
        for seed in range(1, int(how) + 1):
            yield play(b"", 0, seed)
    else:
        yield play.in_order(how)
        print(play.story)


def main(core: str, fault: str, how: str, *scenes: str) -> None:
    root = Path(__file__).resolve().parent.parent.parent
    sys.path[:0] = [str(root), str(root / "src")]
    from tests.orders.stage import Failed, Play, install

    install(core)
    from fastpool._core import core as _core
    from tests.orders.scenes import SCENES
    from tests.orders.shared_scenes import SHARED

    _core.steps_fault(int(fault))  # type: ignore[attr-defined]
    for name in scenes:
        play = Play((SCENES | SHARED)[name])
        began = time.monotonic()
        found: dict[str, str] | None = None
        runs, longest = 0, 0
        try:
            for ran in orders(play, how):
                runs += 1
                longest = max(longest, len(ran.steps))
        except Failed as failed:
            found = {"why": failed.why, "order": failed.order, "story": failed.story}
        said = {"scene": name, "runs": runs, "steps": longest, "failed": found}
        print(json.dumps(said | {"seconds": round(time.monotonic() - began, 2)}), flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as pages:
        os.environ["FASTPOOL_SHARED_DIR"] = pages
        main(*sys.argv[1:])
