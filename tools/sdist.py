"""An sdist that is the same whenever, wherever and by whomever it is built."""

from __future__ import annotations

import gzip
import os
import subprocess
import tarfile
from pathlib import Path

EARLIEST = 315532800  # 1980: a zip file knows no earlier time
VARIABLE = "SOURCE_DATE_EPOCH"


def pin_the_time(root: Path) -> int:
    """Set SOURCE_DATE_EPOCH, unless it is set, to the time of the commit that is built, or to 1980 without git."""
    if VARIABLE not in os.environ:
        command = ["git", "log", "-1", "--pretty=%ct"]
        try:
            told = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            told = ""
        os.environ[VARIABLE] = told or str(EARLIEST)
    return max(int(os.environ[VARIABLE]), EARLIEST)


def same_always(sdist: Path, to: Path) -> Path:
    """Copy an sdist to `to` with its files in order, at SOURCE_DATE_EPOCH, of no user, with plain permissions."""
    moment = max(int(os.environ.get(VARIABLE, EARLIEST)), EARLIEST)
    with tarfile.open(sdist) as given, open(to, "wb") as raw:
        with gzip.GzipFile("", "wb", fileobj=raw, mtime=moment) as packed:
            with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as made:
                for member in sorted(given.getmembers(), key=lambda member: member.name):
                    member.mtime, member.uid, member.gid, member.uname, member.gname = moment, 0, 0, "", ""
                    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
                    member.pax_headers = {}
                    made.addfile(member, given.extractfile(member) if member.isfile() else None)
    return to
