"""Where the pages lie: in a folder of the user's own, that nobody else can read or write.

A page's file is named by a hash of its name, and says the name itself, so no two names can ever be one page.
"""

from __future__ import annotations

import hashlib
import os
import sys

from .refusal import VARIABLE

if sys.platform == "win32":
    from .folder_windows import Folder, check_page, extend, usual_path
else:
    from .folder_posix import Folder, check_page, extend, usual_path

__all__ = ["Folder", "check_page", "encoded", "extend", "file_name", "opened", "pages", "path"]
LONGEST_NAME = 1024  # bytes
_SUFFIX = ".page"


def encoded(name: str) -> bytes:
    """The name as it is in its page; ValueError if it cannot be a page's name."""
    try:
        data = name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"shared must be text that can be encoded, not {name!r} ({error.reason})") from None
    if not 0 < len(data) <= LONGEST_NAME:
        raise ValueError(f"shared must have from 1 to {LONGEST_NAME} bytes in UTF-8, not {len(data)}: {name[:80]!r}")
    return data


def file_name(name: str) -> str:
    """The name of the page's file."""
    return hashlib.sha256(encoded(name)).hexdigest()[:40] + _SUFFIX


def path() -> str:
    """The folder: the environment's, else the usual one of this system."""
    return os.environ.get(VARIABLE) or usual_path()


def opened(make: bool, where: str | None = None) -> Folder | None:
    """The folder, which is made if it is missing (`make`; else None is given).

    ``where``: not the folder of now, but this one.

    PoolError if it cannot be made or opened, or anybody but this user may read or write there.
    """
    return Folder.opened(where or path(), make)


def pages(folder: Folder) -> list[str]:
    """The files of pages in the folder."""
    return [name for name in folder.names() if name.endswith(_SUFFIX)]
