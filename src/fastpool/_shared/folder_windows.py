"""The folder of the pages on Windows: only this user, the system and its administrators may read or write there.

A page's file cannot be removed or replaced while anybody has it open (`_core/c/page_windows.h`), and the path leads to
the same file all the time. Whoever closes it last removes it; what a process leaves behind that ends without closing
its pools is removed by the next that joins any page.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
import time

from .._core import SharedMember
from .._errors import PoolError
from .._light.hints import Self
from .refusal import VARIABLE, refused

assert sys.platform == "win32"
from . import access_windows as _access  # noqa: E402 - not on other systems

_PATIENCE_S = 1.0  # with another process that tries to remove the file, or a scanner that reads it
_NAP_S = 0.001


def usual_path() -> str:
    """A folder in the user's temporary one; that of all sessions, where each session has its own."""
    local = os.path.join(os.environ.get("LOCALAPPDATA", ""), "Temp")
    above = local if os.path.isabs(local) and os.path.isdir(local) else tempfile.gettempdir()
    return os.path.join(above, f"fastpool-{_access.user()}")


class Folder:
    """The folder of that path."""

    __slots__ = ("path",)
    removes_at_close = True  # a page goes when it is closed, and nobody else has it open

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)

    @classmethod
    def opened(cls, where: str, make: bool) -> Self | None:
        """The folder; None: there is none, and it is not to be made. PoolError: it cannot be used."""
        try:
            if make:
                _access.make_private_folder(where)
            found = os.lstat(where)
        except FileNotFoundError as error:
            if not make:
                return None
            raise refused(where, error) from error
        except OSError as error:
            raise refused(where, error) from error
        if not stat.S_ISDIR(found.st_mode):
            raise PoolError(f"shared: {where!r} is no folder; ${VARIABLE} names another")
        _check(where, f"remove it, or name another in ${VARIABLE}")
        return cls(where)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def names(self) -> list[str]:
        """All files there."""
        return os.listdir(self.path)

    def page(self, file: str) -> SharedMember:
        """A page's file, open; OSError."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return SharedMember(-1, _path_for_the_core(self._where(file)))
            except PermissionError:
                if time.monotonic() > until:
                    raise
            time.sleep(_NAP_S)

    def map(self, member: SharedMember, file: str) -> None:
        """Map the page, to take a row in it; OSError."""
        member.map()

    def has(self, member: SharedMember, file: str) -> bool:
        """Whether this page is still the file of that name: it is as long as it is open."""
        return True

    def create(self, file: str, data: bytes) -> None:
        """Make a file with these bytes, whole or not at all, unless there is one. PoolError."""
        mine = self._where(f".{os.getpid()}-{os.urandom(6).hex()}.new")
        try:
            _access.make_private_file(mine)
            with open(mine, "r+b") as made:
                made.write(data)
            with contextlib.suppress(FileExistsError, PermissionError):  # there is one, or one is being removed
                os.rename(mine, self._where(file))
        except OSError as error:
            raise refused(self._where(file), error) from error
        finally:
            with contextlib.suppress(OSError):
                os.unlink(mine)

    def read(self, file: str, most: int = -1) -> bytes:
        """A file's first bytes, or all. FileNotFoundError; PoolError: others than this user may have written it."""
        where = self._where(file)
        try:
            with open(where, "rb") as found:
                _check(where, "remove it")
                return found.read(most)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise refused(where, error) from error

    def changed(self, file: str) -> float:
        """When a file was last changed, in seconds since the epoch; OSError."""
        return os.lstat(self._where(file)).st_mtime

    def remove(self, file: str) -> None:
        """Remove a file, if the system lets us: it does not while anybody has it open."""
        with contextlib.suppress(OSError):
            os.unlink(self._where(file))

    def _where(self, file: str) -> str:
        return os.path.join(self.path, file)


def check_page(member: SharedMember, where: str) -> None:
    """PoolError unless nobody but this user can read or write the page's file."""
    _check(where, "remove it")


def extend(member: SharedMember, data: bytes, at: int, where: str) -> None:
    """Nothing to do: mapping it made the page's file as long as it can be."""


def _check(where: str, advice: str) -> None:
    try:
        is_link = os.lstat(where).st_file_attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT
        why = "is a link" if is_link else _access.shared_with(where)
    except OSError as error:
        raise refused(where, error) from error
    if why:
        raise PoolError(f"shared: {where!r} {why}; only this user must be able to read and write it: {advice}")


def _path_for_the_core(path: str) -> bytes:
    return f"{path}\0".encode("utf-16-le", "surrogatepass")
