"""Where the pages lie, and what is refused there: a folder of the user's own, that nobody else can read or write.

A page's file is named by a hash of its name, and says the name itself, so no two names can ever be one page.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile

from .._errors import PoolError
from .._light.hints import Any

VARIABLE = "FASTPOOL_SHARED_DIR"
LONGEST_NAME = 1024  # bytes
_MEMORY = "/dev/shm"
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
    """The folder: the environment's, else one in shared memory, else (only where there is none) a temporary one."""
    given = os.environ.get(VARIABLE)
    if given:
        return given
    above = _MEMORY if os.path.isdir(_MEMORY) else tempfile.gettempdir()
    return os.path.join(above, f"fastpool-{os.geteuid()}")


def opened(make: bool, where: str | None = None) -> int | None:
    """A descriptor of the folder, which is made if it is missing (`make`; else None is given).

    ``where``: not the folder of now, but this one.

    PoolError if it cannot be made or opened, is no folder of this user's own, or of another mode than 0700.
    """
    where = where or path()
    try:
        fd = _open(where)
    except FileNotFoundError:
        if not make:
            return None
        fd = _made(where)
    except OSError as error:
        raise refused(where, error) from error
    try:
        _check(where, os.fstat(fd))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _open(where: str) -> int:
    return os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _made(where: str) -> int:
    try:
        try:
            os.mkdir(where, 0o700)
        except FileExistsError:
            pass  # by another process, a moment ago
        return _open(where)
    except OSError as error:
        raise refused(where, error) from error


def _check(where: str, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        raise PoolError(
            f"shared: the folder {where!r} belongs to user {found.st_uid}, not to this one ({os.geteuid()}); "
            f"remove it, or name another in ${VARIABLE}"
        )
    if mode != 0o700:
        raise PoolError(
            f"shared: the folder {where!r} has mode {mode:04o}; it must be 0700, so that this user, and nobody else, "
            f"can read and write there: chmod 700 it, or name another in ${VARIABLE}"
        )


def check_file(where: str, found: os.stat_result) -> None:
    """PoolError unless this is a plain file of this user's own, that nobody else can read or write."""
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        raise PoolError(f"shared: {where!r} is not a plain file; remove it")
    if found.st_uid != os.geteuid():
        raise PoolError(
            f"shared: {where!r} belongs to user {found.st_uid}, not to this one ({os.geteuid()}); remove it"
        )
    if mode != 0o600:
        raise PoolError(
            f"shared: {where!r} has mode {mode:04o}; it must be 0600, so that this user, and nobody else, can read and "
            "write it; remove it"
        )


def refused(where: str, error: OSError) -> PoolError:
    """The error of a folder or file that the system does not let us use."""
    hints = {
        errno.ELOOP: "it is a link",
        errno.ENOTDIR: "it is a link, or no folder",
        errno.ENOSPC: "the file system is full: free some space",
        errno.EDQUOT: "the user's quota is used up",
        errno.EFBIG: "the process may not write files of that size (RLIMIT_FSIZE)",
        errno.EROFS: "the file system is read-only",
        errno.EACCES: "this user may not write there",
        errno.ENOSYS: "this system has no locks of open files (Linux and macOS have them)",
        errno.EMFILE: "too many files are open in this process",
    }
    hint = hints.get(error.errno or 0)
    because = f": {hint}" if hint else ""
    return PoolError(f"shared: {where!r} cannot be used ({error.strerror}){because}; ${VARIABLE} names another folder")


def listing(folder: int) -> list[str]:
    """The files of pages in the folder."""
    return [name for name in os.listdir(folder) if name.endswith(_SUFFIX)]


def write_all(fd: int, data: bytes, at: int, where: str) -> None:
    """Write to the file, so that the file system has room for it from now on; PoolError if it has not."""
    view: Any = memoryview(data)
    try:
        while view:
            done = os.pwrite(fd, view, at)
            view, at = view[done:], at + done
    except OSError as error:
        raise refused(where, error) from error
