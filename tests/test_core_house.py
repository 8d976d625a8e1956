"""Rules for the compiled core: a function's name begins with its part, and files and functions stay short."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "src" / "fastpool" / "_core"
pytestmark = pytest.mark.skipif(not CORE.is_dir(), reason="the tests run without the checkout around them")

LONGEST_FILE = 350
LONGEST_FUNCTION = 60
PREFIX = {  # where it is not the file's own name
    "c_interface.pxi": "native",
    "cell.pxi": "register",
    "checkout_run.pxi": "checkout",
    "checkout_steps.pxi": "checkout",
    "connecting.pxi": "connect",
    "core_state.pxi": "core",
    "events.pxi": "event",
    "lease_at_once.pxi": "lease",
    "lease_sharing.pxi": "lease",
    "pool.pxi": "core",
    "tasks/lease.pxi": "task",
    "tasks/line.pxi": "task",
    "tasks/timer.pxi": "timer",
    "tasks/wakeups.pxi": "wakeup",
    "waiting/waiter_handle.pxi": "handle",
}
# Private names of CPython, greenlet, asyncio, gevent and eventlet -> the files outside of compat* that must have them
PRIVATE = {
    "__asyncio_running_event_loop__": set(),
    "_C_API": set(),
    "_PyOS_IsMainThread": set(),
    "_PyThreadState_UncheckedGet": set(),
    '"_active"': set(),
    "_asyncio_future_blocking": {"tasks/timer.pxi", "tasks/line.pxi"},  # an attribute of the handle itself
    "_bootstrap": set(),
    '"_get_running_loop"': set(),
    '"_set_running_loop"': set(),
    "_current_tasks": set(),
    "_exit_event": set(),
    "_hub_local": set(),
    "_limbo": set(),
    "_threadlocal": set(),
    "d_method": set(),
    "datastack_chunk": set(),
    "ob_ref_local": set(),
}
FUNCTION = re.compile(r"^cdef (?!class )[^=#\n]*?(\w+)\(", re.MULTILINE)
BEGINS = re.compile(r"^( *)(?:cdef|cpdef|def)\s(?!class )[^=#\n]*?(\w+)\(")


def parts() -> list[Path]:
    return sorted(CORE.rglob("*.pxi"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """The functions and methods of a file, each with its number of lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for at, line in enumerate(lines):
        begins = BEGINS.match(line)
        if begins is None:
            continue
        indent, name = begins.groups()
        signature = next(n for n in range(at, len(lines)) if re.search(r":\s*(#.*)?$", lines[n]))
        end = signature + 1
        while end < len(lines) and (not lines[end].strip() or lines[end].startswith(indent + " ")):
            end += 1
        yield name, len("\n".join(lines[at:end]).rstrip().splitlines())


def test_a_functions_name_begins_with_its_part() -> None:
    faults = []
    for path in parts():
        name = path.relative_to(CORE).as_posix()
        prefix = PREFIX.get(name, path.stem)
        faults += [
            f"{name}: {found}" for found in FUNCTION.findall(path.read_text()) if not found.startswith(f"{prefix}_")
        ]
    assert faults == []


def test_private_interfaces_are_used_in_compat_files_only() -> None:
    source = CORE.parent
    paths = [path for path in source.rglob("*") if path.suffix in (".py", ".pyx", ".pxi", ".pxd", ".h")]
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    for private, others in PRIVATE.items():
        users = [path for path, text in texts.items() if re.search(rf"(?<!\w){private}(?!\w)", text)]
        found = {path.relative_to(CORE if path.is_relative_to(CORE) else source).as_posix() for path in users}
        assert found, f"{private} is used nowhere any more: remove it here and from docs/compat.md"
        beyond = {name for name in found if not name.rpartition("/")[2].startswith("compat")}
        assert beyond == others, f"{private}: move it to a file named compat…"


def test_no_part_is_too_long() -> None:
    sizes = {str(path.relative_to(CORE)): len(path.read_text(encoding="utf-8").splitlines()) for path in parts()}
    assert {name: lines for name, lines in sizes.items() if lines > LONGEST_FILE} == {}


def test_no_function_of_the_core_is_too_long() -> None:
    faults = [
        f"{path.name}: {name} has {lines} lines"
        for path in [*parts(), CORE / "core.pyx", *sorted((CORE / "c").glob("*.pxd"))]
        for name, lines in functions(path)
        if lines > LONGEST_FUNCTION
    ]
    assert faults == []


def test_the_longest_function_is_seen() -> None:
    assert max(lines for path in parts() for _, lines in functions(path)) > LONGEST_FUNCTION // 2
