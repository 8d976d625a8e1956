"""The platform, and the limits that connections meet: descriptors, threads, ports."""

from __future__ import annotations

import os
import platform as _platform
import sys
import threading
from pathlib import Path

from .._light.hints import Any

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_SYSTEM_WIDE = {
    "files of the machine": "/proc/sys/fs/file-max",
    "files of a process at most": "/proc/sys/fs/nr_open",
    "ports for connections": "/proc/sys/net/ipv4/ip_local_port_range",
    "processes in this control group": "/sys/fs/cgroup/pids.max",
    "processors of this control group": "/sys/fs/cgroup/cpu.max",
}


def platform() -> dict[str, Any]:
    """The system and the processors; not the machine's name."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "system": f"{_platform.system()} {_platform.release()}",
        "machine": _platform.machine(),
        "libc": " ".join(_platform.libc_ver()).strip() or "unnamed",
        "processors": os.cpu_count(),
        "processors of this process": len(affinity(0)) if affinity else os.cpu_count(),
    }


def _limit(which: str) -> dict[str, Any]:
    """The soft and the hard limit of a resource; None: no limit."""
    if resource is None or not hasattr(resource, which):
        return {}
    told = (None if one == resource.RLIM_INFINITY else one for one in resource.getrlimit(getattr(resource, which)))
    return dict(zip(("soft", "hard"), told, strict=True))


def descriptors_open() -> int | None:
    """How many descriptors this process has open; None where the system has no list of them."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder)) - 1  # the list's own
        except OSError:
            continue
    return None


def _first_line(path: str) -> str | None:
    try:
        return " ".join(Path(path).read_text(encoding="ascii").split())
    except (OSError, UnicodeDecodeError):
        return None


def limits() -> dict[str, Any]:
    """The limits of this process, and how much of each it uses."""
    found: dict[str, Any] = {
        "descriptors": {**_limit("RLIMIT_NOFILE"), "open": descriptors_open()},
        "processes and threads": _limit("RLIMIT_NPROC"),
        "threads of this process": threading.active_count(),
    }
    if sys.platform == "linux":
        found |= {name: told for name, path in _SYSTEM_WIDE.items() if (told := _first_line(path)) is not None}
    return found
