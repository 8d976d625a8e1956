"""Idle times and lifetimes go on while the machine is suspended.

Linux gives a single-threaded process a time namespace of its own, in which `CLOCK_BOOTTIME` jumps ahead two hours and
`CLOCK_MONOTONIC` does not: what a process sees of a machine that slept for two hours.
"""

from __future__ import annotations

import sys

import pytest

from tests.process._scripts import run

PROGRAM = """
    import ctypes, os, sys, time
    import fastpool
    from fastpool._core import clock

    NEW_TIME, NEW_USER = 0x80, 0x10000000

    def sleeps_for_two_hours():
        before, stood = time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic()
        system = ctypes.CDLL(None, use_errno=True)
        if system.unshare(NEW_TIME) and system.unshare(NEW_TIME | NEW_USER):
            return f"unshare: {os.strerror(ctypes.get_errno())}"
        try:
            with open("/proc/self/timens_offsets", "w") as offsets:
                offsets.write("boottime 7200 0")
            mine = os.open("/proc/self/ns/time_for_children", os.O_RDONLY)
        except OSError as error:
            return str(error)
        if system.setns(mine, NEW_TIME):
            return f"setns: {os.strerror(ctypes.get_errno())}"
        assert time.clock_gettime(time.CLOCK_BOOTTIME) - before >= 7200 and time.monotonic() - stood < 3600
        return None

    class Pool(fastpool.Pool):
        def _keep(self):
            pass  # its thread would be a second one, and only a single-threaded process gets the time namespace

    class Connection:
        closed = False

        def close(self):
            self.closed = True

    option, reason = sys.argv[1:]
    pool = Pool(Connection, **{option: 3600})
    with pool.connection() as first:
        pass
    with pool.connection() as again:
        assert again is first
    began = clock()
    why_not = sleeps_for_two_hours()
    if why_not is not None:
        print("not here:", why_not)
        sys.exit()
    assert 7200 <= clock() - began < 7300
    woke = time.monotonic()
    while time.monotonic() < woke + 0.002:
        pass  # so long the last reading of the coarse clock may pass for the present
    with pool.connection() as c:
        assert c is not first and first.closed
    with pool.connection() as again:
        assert again is c
    assert pool.stats().closed[reason] == 1
    print("well")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has time namespaces")
@pytest.mark.parametrize(("option", "reason"), [("idle_timeout", "idle"), ("max_lifetime", "lifetime")])
def test_a_connection_does_not_outlive_its_time_in_a_machine_that_is_suspended(option: str, reason: str) -> None:
    said = run(PROGRAM, option, reason).strip()
    if said.startswith("not here"):
        pytest.skip(said)
    assert said == "well"
