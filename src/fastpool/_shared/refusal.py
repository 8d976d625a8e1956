"""The error that says why a folder or file of pages cannot be used."""

from __future__ import annotations

import errno

from .._errors import PoolError

VARIABLE = "FASTPOOL_SHARED_DIR"
_HINTS = {
    errno.ELOOP: "it is a link",
    errno.ENOTDIR: "it is a link, or no folder",
    errno.ENOSPC: "the file system is full: free some space",
    errno.EDQUOT: "the user's quota is used up",
    errno.EFBIG: "the process may not write files of that size (RLIMIT_FSIZE)",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "this user may not write there",
    errno.EMFILE: "too many files are open in this process",
}


def refused(where: str, error: OSError) -> PoolError:
    """The error of a folder or file that the system does not let us use."""
    hint = _HINTS.get(error.errno or 0)
    because = f": {hint}" if hint else ""
    return PoolError(f"shared: {where!r} cannot be used ({error.strerror}){because}; ${VARIABLE} names another folder")
