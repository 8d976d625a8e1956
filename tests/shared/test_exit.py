"""A pool that is still there when the interpreter ends."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.shared._party import PATIENCE, Party

PROGRAM = """
import json, fastpool
json.kept = fastpool.Pool(object, shared="tested", shared_max=2)  # in a module that is cleared after fastpool's
json.kept.checkout()
"""


def test_a_pool_that_is_kept_to_the_very_end_says_nothing_and_leaves_no_page(party: Party) -> None:
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=PATIENCE * 2, env=dict(os.environ)
    )
    assert (said.returncode, said.stderr) == (0, "")
    assert party.left() == []
