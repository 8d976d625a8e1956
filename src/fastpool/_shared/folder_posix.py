"""The folder of the pages on Linux and macOS: of mode 0700 and the user's own, its files 0600, and no links."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile

from .._core import SharedMember
from .._errors import PoolError
from .._light.hints import Any, Self
from .refusal import VARIABLE, refused

assert sys.platform != "win32"  # for type checkers
_MEMORY = "/dev/shm"


def usual_path() -> str:
    """A folder in shared memory, else (only where there is none) a temporary one."""
    above = _MEMORY if os.path.isdir(_MEMORY) else tempfile.gettempdir()
    return os.path.join(above, f"fastpool-{os.geteuid()}")


class Folder:
    """The folder, open: what is done there is done in this very folder, whatever its path names by then."""

    __slots__ = ("_fd", "path")
    removes_at_close = False  # a page's file is removed by who leaves it last

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd

    @classmethod
    def opened(cls, where: str, make: bool) -> Self | None:
        """The folder; None: there is none, and it is not to be made. PoolError: it cannot be used."""
        try:
            fd = _open(where)
        except FileNotFoundError:
            if not make:
                return None
            fd = _made(where)
        except OSError as error:
            raise refused(where, error) from error
        try:
            _check_folder(where, os.fstat(fd))
        except BaseException:
            os.close(fd)
            raise
        return cls(where, fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def names(self) -> list[str]:
        """All files there."""
        return os.listdir(self._fd)

    def page(self, file: str) -> SharedMember:
        """A page's file, open; OSError."""
        return SharedMember(self._fd, os.fsencode(file))

    def map(self, member: SharedMember, file: str) -> None:
        """Map the page, to take a row in it; OSError."""
        member.map(self._fd, os.fsencode(file))

    def has(self, member: SharedMember, file: str) -> bool:
        """Whether this page is still the file of that name."""
        mine = os.fstat(member.fileno())
        try:
            found = os.stat(file, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)

    def create(self, file: str, data: bytes) -> None:
        """Make a file with these bytes, whole or not at all, unless there is one. PoolError."""
        where = os.path.join(self.path, file)
        mine = f".{os.getpid()}-{os.urandom(6).hex()}.new"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(mine, flags, 0o600, dir_fd=self._fd)
        except OSError as error:
            raise refused(where, error) from error
        try:
            os.fchmod(fd, 0o600)
            _write_all(fd, data, 0)
            with contextlib.suppress(FileExistsError):
                os.link(mine, file, src_dir_fd=self._fd, dst_dir_fd=self._fd, follow_symlinks=False)
        except OSError as error:
            raise refused(where, error) from error
        finally:
            os.close(fd)
            self.remove(mine)

    def read(self, file: str, most: int = -1) -> bytes:
        """A file's first bytes, or all. FileNotFoundError; PoolError: it is no plain file of this user's own."""
        where = os.path.join(self.path, file)
        try:
            fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._fd)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise refused(where, error) from error
        with os.fdopen(fd, "rb") as found:
            _check_file(where, os.fstat(fd))
            return found.read(most)

    def changed(self, file: str) -> float:
        """When a file was last changed, in seconds since the epoch; OSError."""
        return os.stat(file, dir_fd=self._fd, follow_symlinks=False).st_mtime

    def remove(self, file: str) -> None:
        """Remove a file, if the system lets us."""
        with contextlib.suppress(OSError):
            os.unlink(file, dir_fd=self._fd)


def check_page(member: SharedMember, where: str) -> None:
    """PoolError unless the page's file is this user's own, and nobody else can read or write it."""
    _check_file(where, os.fstat(member.fileno()))


def extend(member: SharedMember, data: bytes, at: int, where: str) -> None:
    """Make a page's file longer by writing this, so that the file system has room for it from now on; PoolError."""
    try:
        _write_all(member.fileno(), data, at)
    except OSError as error:
        raise refused(where, error) from error


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


def _check_folder(where: str, found: os.stat_result) -> None:
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


def _check_file(where: str, found: os.stat_result) -> None:
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


def _write_all(fd: int, data: bytes, at: int) -> None:
    view: Any = memoryview(data)
    while view:
        done = os.pwrite(fd, view, at)
        view, at = view[done:], at + done
