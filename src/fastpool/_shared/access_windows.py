"""The user of this process, and the access to files and folders of Windows: their owner, and a list of who may do what.

A security descriptor is read as text, whose language Windows documents (SDDL): ``O:owner D:flags(ace)(ace)…``, an ace
``type;flags;rights;object;inherited object;trustee``.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import re
import sys
from collections.abc import Iterator
from typing import Any

assert sys.platform == "win32"
from ctypes import wintypes  # noqa: E402 - not on other systems

_advapi = ctypes.WinDLL("advapi32", use_last_error=True)
_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel.GetCurrentProcess.restype = wintypes.HANDLE
_kernel.LocalFree.argtypes = [ctypes.c_void_p]
_kernel.CloseHandle.argtypes = [wintypes.HANDLE]
_advapi.OpenProcessToken.argtypes = [wintypes.HANDLE, wintypes.DWORD, ctypes.POINTER(wintypes.HANDLE)]
_advapi.GetTokenInformation.argtypes = [
    wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD, ctypes.POINTER(wintypes.DWORD),
]  # fmt: skip
_advapi.ConvertSidToStringSidW.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
_advapi.ConvertStringSidToSidW.argtypes = [wintypes.LPCWSTR, ctypes.POINTER(ctypes.c_void_p)]
_advapi.GetNamedSecurityInfoW.argtypes = [
    wintypes.LPCWSTR, ctypes.c_int, wintypes.DWORD, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_void_p),
]  # fmt: skip
_advapi.ConvertSecurityDescriptorToStringSecurityDescriptorW.argtypes = [
    ctypes.c_void_p, wintypes.DWORD, wintypes.DWORD, ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p,
]  # fmt: skip
_advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW.argtypes = [
    wintypes.LPCWSTR, wintypes.DWORD, ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p,
]  # fmt: skip

_GENERIC_WRITE, _CREATE_NEW, _INVALID_HANDLE = 0x40000000, 1, ctypes.c_void_p(-1).value
_TOKEN_QUERY, _TOKEN_USER = 8, 1
_SE_FILE_OBJECT, _OWNER, _DACL = 1, 1, 4
_SDDL_REVISION, _NO_LIST = 1, "NO_ACCESS_CONTROL"
_SYSTEM, _ADMINISTRATORS = "S-1-5-18", "S-1-5-32-544"
_OWNER_RIGHTS, _CREATOR_OWNER = "S-1-3-4", "S-1-3-0"


class _SecurityAttributes(ctypes.Structure):
    _fields_ = (("length", wintypes.DWORD), ("descriptor", ctypes.c_void_p), ("inherit", wintypes.BOOL))


_kernel.CreateDirectoryW.argtypes = [wintypes.LPCWSTR, ctypes.POINTER(_SecurityAttributes)]
_kernel.CreateFileW.argtypes = [
    wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, ctypes.POINTER(_SecurityAttributes), wintypes.DWORD,
    wintypes.DWORD, wintypes.HANDLE,
]  # fmt: skip
_kernel.CreateFileW.restype = wintypes.HANDLE


@functools.cache
def user() -> str:
    """This process's user, as the text of its SID: ``S-1-5-21-…``."""
    token, needed = wintypes.HANDLE(), wintypes.DWORD()
    _must(_advapi.OpenProcessToken(_kernel.GetCurrentProcess(), _TOKEN_QUERY, ctypes.byref(token)))
    try:
        _advapi.GetTokenInformation(token, _TOKEN_USER, None, 0, ctypes.byref(needed))
        found = ctypes.create_string_buffer(needed.value)
        _must(_advapi.GetTokenInformation(token, _TOKEN_USER, found, needed, ctypes.byref(needed)))
    finally:
        _kernel.CloseHandle(token)
    return _text_of_sid(ctypes.c_void_p.from_buffer(found).value)


def make_private_folder(path: str) -> None:
    """Make a folder that only this user, the system and its administrators can use, unless it is there; OSError."""
    with contextlib.suppress(FileExistsError):
        make_folder(path, _private("OICI"))


def make_private_file(path: str) -> None:
    """Make an empty file that only they can use; OSError, FileExistsError among them."""
    make_file(path, _private(""))


def make_folder(path: str, sddl: str) -> None:
    """Make a folder with this security descriptor; OSError, FileExistsError among them."""
    with _attributes(sddl) as attributes:
        _must(_kernel.CreateDirectoryW(path, attributes))


def make_file(path: str, sddl: str) -> None:
    """Make an empty file with this security descriptor; OSError, FileExistsError among them."""
    with _attributes(sddl) as attributes:
        file = _kernel.CreateFileW(path, _GENERIC_WRITE, 0, attributes, _CREATE_NEW, 0, None)
        _must(file != _INVALID_HANDLE)
        _kernel.CloseHandle(file)


def _private(inheritance: str) -> str:
    return "D:P" + "".join(f"(A;{inheritance};FA;;;{sid})" for sid in (_SYSTEM, _ADMINISTRATORS, user()))


@contextlib.contextmanager
def _attributes(sddl: str) -> Iterator[Any]:
    with _freed() as descriptor:
        _must(
            _advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW(
                sddl, _SDDL_REVISION, ctypes.byref(descriptor), None
            )
        )
        yield ctypes.byref(_SecurityAttributes(ctypes.sizeof(_SecurityAttributes), descriptor, False))


def shared_with(path: str) -> str:
    """Say in words whom else this file or folder belongs to, or lets use it; "": nobody. OSError."""
    owner, dacl = _owner_and_dacl(path)
    if owner not in (user(), _ADMINISTRATORS):
        return f"belongs to {owner}, not to this user ({user()})"
    if _NO_LIST in dacl:
        return "may be used by anybody"
    for ace in re.findall(r"\(([^)]*)\)", dacl):
        kind, flags, _, _, _, trustee, *_ = ace.split(";")
        inherited_only = "IO" in re.findall("..", flags)
        if not kind.endswith("D") and not inherited_only:
            sid = _sid_of(trustee)
            if sid not in (user(), _SYSTEM, _ADMINISTRATORS, _OWNER_RIGHTS, _CREATOR_OWNER):
                return f"may be used by {sid}"
    return ""


def _owner_and_dacl(path: str) -> tuple[str, str]:
    with _freed() as descriptor, _freed() as text:
        error = _advapi.GetNamedSecurityInfoW(
            path, _SE_FILE_OBJECT, _OWNER | _DACL, None, None, None, None, ctypes.byref(descriptor)
        )
        if error:
            raise ctypes.WinError(error)
        _must(
            _advapi.ConvertSecurityDescriptorToStringSecurityDescriptorW(
                descriptor, _SDDL_REVISION, _OWNER | _DACL, ctypes.byref(text), None
            )
        )
        owner, listed, dacl = ctypes.wstring_at(text).partition("D:")
    return _sid_of(owner.removeprefix("O:")), dacl if listed else _NO_LIST


def _sid_of(said: str) -> str:
    """The text of a SID that SDDL may say by two letters."""
    with _freed() as sid:
        _must(_advapi.ConvertStringSidToSidW(said, ctypes.byref(sid)))
        return _text_of_sid(sid.value)


def _text_of_sid(sid: int | None) -> str:
    with _freed() as text:
        _must(_advapi.ConvertSidToStringSidW(sid, ctypes.byref(text)))
        return ctypes.wstring_at(text)


@contextlib.contextmanager
def _freed() -> Iterator[ctypes.c_void_p]:
    """A pointer to what Windows allocates for it."""
    pointer = ctypes.c_void_p()
    try:
        yield pointer
    finally:
        _kernel.LocalFree(pointer)


def _must(done: int) -> None:
    if not done:
        raise ctypes.WinError(ctypes.get_last_error())
