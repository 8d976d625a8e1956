"""Builds a core in which every shared access can be a turn of tests/orders, from a copy of its source; prints its path.

The copy contains the faults of `FAULTS`, each behind a switch that is off: one build serves as the correct core and as
every faulty one. A fault whose place in the source is not found exactly once is an error, to be corrected here.
"""

from __future__ import annotations

import os
import runpy
import shutil
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
NATIVE = {".pyx", ".pxi", ".pxd", ".h"}


class Fault(NamedTuple):
    """A line of the source, and its replacement when the fault is switched on (`{}`: its condition)."""

    name: str
    file: str
    line: str
    broken: str


FAULTS = [
    Fault(
        "a waiter does not look at the free slots again",
        "_core/waiting/line.pxi",
        "    pool_settle(core.pool)\n    return 0\n",
        "    if not {}:\n        pool_settle(core.pool)\n    return 0\n",
    ),
    Fault(
        "freeing something does not look at the gate",
        "_core/c/pool.pxd",
        "    if u64_load_sc(&pool.gate) & QUEUED_MASK:\n        pool_settle(pool)\n",
        "    if not {} and u64_load_sc(&pool.gate) & QUEUED_MASK:\n        pool_settle(pool)\n",
    ),
    Fault(
        "a hand-off is decided in two steps",
        "_core/c/waitq.pxd",
        "    return u64_cas(&waiter.state, WAITING, outcome)\n",
        "    if {}:\n        if u64_load(&waiter.state) != WAITING:\n            return False\n"
        "        u64_cas(&waiter.state, u64_load(&waiter.state), outcome)\n        return True\n"
        "    return u64_cas(&waiter.state, WAITING, outcome)\n",
    ),
    Fault(
        "a slot that comes with the cancellation is dropped",
        "_core/waiting/line.pxi",
        "            pool_pass(core.pool, slot)\n    return line_over(self)\n",
        "            if not {}:\n                pool_pass(core.pool, slot)\n    return line_over(self)\n",
    ),
    Fault(
        "a lease is ended in two steps",
        "_core/lease.pxi",
        "        if u64_cas(&slot.word, seen, (seen + EPOCH) | ENDING):\n            return True\n",
        "        if {}:\n            u64_put(&slot.word, (seen + EPOCH) | ENDING)\n            return True\n"
        "        if u64_cas(&slot.word, seen, (seen + EPOCH) | ENDING):\n            return True\n",
    ),
    Fault(
        "a failed connect keeps its permit",
        "_core/c/pool.pxd",
        "    if permit:\n        pool_permit_drop(pool)\n",
        "    if permit and not {}:\n        pool_permit_drop(pool)\n",
    ),
    Fault(
        "a larger pool does not serve the waiters",
        "_core/core_state.pxi",
        "        pool_shrink_vacant(pool)\n        pool_settle_if(pool)\n",
        "        pool_shrink_vacant(pool)\n        if not {}:\n            pool_settle_if(pool)\n",
    ),
    Fault(
        "the last in line is served first",
        "_core/c/waitq.pxd",
        "    if front:\n",
        "    if front or {}:\n",
    ),
    Fault(
        "a new waiter does not see that the pool is closed",
        "_core/waiting/line.pxi",
        "    if before & CLOSED:\n",
        "    if before & CLOSED and not {}:\n",
    ),
    Fault(
        "a return does not see that the pool is closed",
        "_core/checkin.pxi",
        "    gate = u64_load(&core.pool.gate)\n    if gate & CLOSED:\n",
        "    gate = u64_load(&core.pool.gate)\n    if gate & CLOSED and not {}:\n",
    ),
    Fault(
        "a slot is published, and listed, in two steps",
        "_core/c/idle.pxd",
        "        word = u64_load(&slot.word)\n"
        "        if u64_cas(&slot.word, word, ((word & ~<uint64_t>ENDING) + (EPOCH + IDLE - LEASED)) | listed):\n",
        "        word = u64_load(&slot.word)\n        if {}:\n"
        "            u64_cas(&slot.word, word, (word & ~<uint64_t>ENDING) + (EPOCH + IDLE - LEASED))\n"
        "            u64_or(&slot.word, listed)\n            return word\n"
        "        if u64_cas(&slot.word, word, ((word & ~<uint64_t>ENDING) + (EPOCH + IDLE - LEASED)) | listed):\n",
    ),
    Fault(
        "a shared permit is taken in two steps",
        "_core/c/page.pxd",
        "            &page.total, total,\n",
        "            &page.total, u64_load_sc(&page.total) if {} else total,\n",
    ),
    Fault(
        "a change of the page is not completed by the next",
        "_core/c/page.pxd",
        "        page_finish(page, total)\n        held = ",
        "        if not {}:\n            page_finish(page, total)\n        held = ",
    ),
    Fault(
        "a shared permit that is free is offered to nobody",
        "_core/c/member.pxd",
        "    if member.page != NULL and page_change(member.page, member.number, GIVEN_ONE):\n",
        "    if member.page != NULL and page_change(member.page, member.number, GIVEN_ONE) and not {}:\n",
    ),
    Fault(
        "a watcher sleeps though it was called while it looked",
        "_core/sharing.pxi",
        "        futex_wait(&member.row.futex, seen, until - now, member.event)\n",
        "        if {}:\n            seen = u32_load_sc(&member.row.futex)\n"
        "        futex_wait(&member.row.futex, seen, until - now, member.event)\n",
    ),
    Fault(
        "a row is cleared without a look at its lock",
        "_core/c/member.pxd",
        "        if page_locked(member.file, i + 1, 1) == 0 and page_lock(member.file, i + 1) == 0:\n",
        "        if {} or (page_locked(member.file, i + 1, 1) == 0 and page_lock(member.file, i + 1) == 0):\n",
    ),
    Fault(  # an exception in place of the crash that it was
        "the search for a deadlock reads the entry of a slot that has none",
        "_core/waiting/deadlock.pxi",
        "        if slot_state(u64_load(&slot.word)) != LEASED or u64_peek(&slot.owner) == 0:\n"
        "            return NOT_KEPT\n",
        "        if {} and slot.entry == NULL:\n            raise SystemError('no entry')\n"
        "        if slot_state(u64_load(&slot.word)) != LEASED or u64_peek(&slot.owner) == 0:\n"
        "            return NOT_KEPT\n",
    ),
]
DECLARED = """
cdef extern from * nogil:
    bint fp_fault(int number) noexcept
    void fp_step(int kind, const void *where, const char *name) noexcept

"""
# Where the core reads (0) or changes (1) a dict that other threads change, too: a shared access like any other.
DICTS = [
    ("_core/by_hand.pxi", "    known = core.by_id.get(id(c))\n    if isinstance(known, list):\n", 0, "by_id"),
    ("_core/by_hand.pxi", "    return core.dropped.pop(id(c), None) is not None\n", 1, "dropped"),
    ("_core/retire.pxi", "                core.dropped[id(c)] = c  #", 1, "dropped"),
    ("_core/retire.pxi", "                core.dropped.pop(id(c), None)\n                continue\n", 1, "dropped"),
    ("_core/connecting.pxi", "    known = core.by_id.get(id(c))\n    if known is None:\n", 1, "by_id"),
    ("_core/connecting.pxi", "    known = core.by_id.get(id(c))\n    if known is entry:\n", 1, "by_id"),
    ("_core/waiting/deadlock.pxi", "        core.queued[owner] = True\n", 1, "queued"),
    ("_core/waiting/deadlock.pxi", "        core.queued[owner] = False\n", 1, "queued"),
    ("_core/waiting/deadlock.pxi", "        core.queued.pop(handle.waiter.owner, None)\n", 1, "queued"),
    ("_core/waiting/deadlock.pxi", "    cdef object asleep = core.queued.get(owner)\n", 0, "queued"),
]

# What a page needs of the system: its futexes and its clock are played, and its locks of rows are turns.
PLAYED = [
    ("futex.h", "syscall(SYS_futex, futex, FUTEX_WAIT, seen, &t, NULL, 0);", "fp_step_futex_wait(futex, seen);"),
    ("futex.h", "syscall(SYS_futex, futex, FUTEX_WAKE, 1, NULL, NULL, 0);", "fp_step_futex_wake(futex);"),
    (
        "page_posix.h",
        "    int said;\n    memset(&lock, 0, sizeof lock);\n",
        "    int said;\n    memset(&lock, 0, sizeof lock);\n"
        '    fp_step(what == F_OFD_GETLK ? FP_READS : FP_WRITES, &fp_step_bytes[byte], "file lock");\n',
    ),
    (
        "clock.h",
        "{ return fp_clock_read(fp_clock_id); }",
        "{ int64_t at = fp_i64_peek(&fp_clock_stopped); return at ? at : fp_clock_read(fp_clock_id); }",
    ),
]


def put_in(path: Path, line: str, instead: str) -> None:
    text = path.read_text()
    if text.count(line) != 1:
        raise ValueError(f"{path.name} has {text.count(line)} places like this, and not one:\n{line}")
    path.write_text(text.replace(line, instead))


def copy_source(package: Path) -> None:
    """The core's source, with the faults in it, and with hooks for the tests."""
    core = package / "_core"
    made = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
    shutil.copytree(ROOT / "src" / "fastpool" / "_core", core, ignore=made)
    shutil.copy(ROOT / "src" / "fastpool" / "__init__.py", package)
    for number, fault in enumerate(FAULTS, 1):
        put_in(package / fault.file, fault.line, fault.broken.format(f"fp_fault({number})"))
    for file, line, kind, name in DICTS:
        indent = " " * (len(line) - len(line.lstrip()))
        put_in(package / file, line, f'{indent}fp_step({kind}, <void *>core.{name}, "{name}")\n{line}')
    for path in {core / "core.pyx", *(package / fault.file for fault in FAULTS if fault.file.endswith(".pxd"))}:
        text = path.read_text()
        place = text.index("\ncdef ")  # behind the imports
        path.write_text(text[:place] + DECLARED + text[place:])
    # As on a free-threaded build, other threads run between any two accesses, not only where the GIL is released.
    header = core / "c" / "compat_thread_state.h"
    header.write_text(header.read_text().replace("#ifdef Py_GIL_DISABLED", "#if 1"))
    for file, line, played in PLAYED:
        put_in(core / "c" / file, line, played)
    with (core / "core.pyx").open("a") as source:
        source.write('\ninclude "steps.pxi"\n')
    shutil.copy(HERE / "steps.pxi", core)


def compile_core(work: Path) -> Path:
    """The extension module made of the copy in `work`."""
    os.chdir(work)
    cythonize = import_module("Cython.Build").cythonize
    build_ext = import_module("setuptools.command.build_ext").build_ext
    recipe = runpy.run_path(str(ROOT / "setup.py"), run_name="recipe")
    ext = recipe["extension"]("fastpool._core.core", "src/fastpool/_core/core.pyx")
    ext.extra_compile_args = ["-O0", "-g", "-std=gnu11", "-fno-strict-aliasing", "-include", str(HERE / "step_locks.h")]
    modules = cythonize([ext], include_path=["src"], compiler_directives=recipe["DIRECTIVES"], quiet=True)
    build = build_ext(import_module("setuptools").Distribution({"name": "fastpool", "ext_modules": modules}))
    build.build_lib, build.build_temp = "lib", "o"
    build.ensure_finalized()
    build.run()
    (file,) = (work / "lib" / "fastpool" / "_core").glob("core.*")
    return file


def main() -> Path:
    native = runpy.run_path(str(ROOT / "tools" / "native.py"), run_name="native")
    inputs = [path for path in (ROOT / "src" / "fastpool").rglob("*") if path.suffix in NATIVE]
    inputs += [Path(__file__), *HERE.glob("step*"), ROOT / "setup.py"]

    def make(work: Path) -> Path:
        (work / "src" / "fastpool").mkdir(parents=True)
        copy_source(work / "src" / "fastpool")
        try:
            return compile_core(work)
        finally:
            os.chdir(ROOT)

    made: Path = native["in_cache"](f"_core-orders-{native['hash_of'](inputs)}", make)
    return made


if __name__ == "__main__":
    print(main())
