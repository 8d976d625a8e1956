"""A task is cancelled at every point, in every way, for every way to get a connection: no slot is lost."""

from __future__ import annotations

import asyncio

import pytest

import fastpool

from ._task_ways import EVERY_LOOP, EVERY_STRIKE, EVERY_WAY, STRIKES, WAYS, Cancelled, Gate, GatedPool, run, steps
from ._told import soon


async def serves(gated: GatedPool) -> None:
    """Let all pending work end; then the pool can still give out its connection."""
    gated.gate.go.set()
    assert await soon(gated.whole), gated.pool
    async with gated.pool.aconnection(timeout=5) as c:
        assert not c.closed
    assert await soon(gated.whole), gated.pool


@EVERY_STRIKE
@pytest.mark.parametrize(
    ("way", "stage"),
    [
        (way, stage)
        for way in WAYS
        for stage in ("line", "connect", "check", "block", "reset")
        if (way, stage) != ("AsyncPool.checkout", "reset")  # a checkin by hand does not wait for it
    ],
)
def test_at_every_stage(way: str, stage: str, strike: str, loop: str) -> None:
    async def main() -> None:
        have, kind = WAYS[way]
        gate = Gate("none yet")
        gated = GatedPool(gate, kind, check_after=0, check_timeout=None)  # a strike may move the time of the loop
        pool = gated.pool
        if stage != "connect":
            async with pool.aconnection():
                pass
            assert await soon(gated.whole)
        gate.stage = stage
        holder = pool.aconnection()
        if stage == "line":
            await holder.__aenter__()
        struck = STRIKES[strike](lambda: have(pool, lambda: gate.ahold("block")))
        assert await soon(lambda: gate.entered.is_set() or pool.stats().waiting == 1)
        assert not struck.task.done()
        struck.strike()
        assert not await struck.end(), "it was not cancelled"
        if stage == "line":
            assert (pool.stats().waiting, pool.stats().cancelled, pool.stats().leased) == (0, 1, 1)
            await holder.__aexit__(None, None, None)
        gate.go.set()
        assert await soon(gated.whole), pool
        # The reset goes on, and so do calls in a thread; a checkin by hand counts as a success. Any other step that is
        # interrupted costs the connection.
        in_thread = way == "Pool.aconnection" and stage in ("connect", "check")
        kept = in_thread or stage in ("line", "reset") or (way, stage) == ("AsyncPool.checkout", "block")
        assert [c.closed for c in gated.made] in ([[not kept]] if in_thread or stage != "connect" else [[], [True]])
        await serves(gated)

    run(loop, main)


@EVERY_STRIKE
@EVERY_WAY
def test_between_the_hand_off_and_the_wake_up_the_next_in_line_is_served(way: str, strike: str, loop: str) -> None:
    have, kind = WAYS[way]
    met = 0

    async def play(gated: GatedPool, ahead: int) -> None:
        """Cancel the first waiter, and hand over ``ahead`` iterations later, because each way of cancelling takes
        effect after its own number of iterations."""
        nonlocal met
        pool = gated.pool
        holder = pool.aconnection()
        await holder.__aenter__()
        made = len(gated.made)
        served: list[str] = []

        async def note(who: str) -> None:
            served.append(who)

        first = STRIKES[strike](lambda: have(pool, lambda: note("first")))
        assert await soon(lambda: pool.stats().waiting == 1)
        second = Cancelled(lambda: have(pool, lambda: note("second")))
        assert await soon(lambda: pool.stats().waiting == 2)
        first.strike()
        await steps(ahead)
        in_line = pool.stats().waiting
        await holder.__aexit__(None, None, None)  # nothing is awaited: the first in line has the slot now
        handed = in_line == 2 and pool.stats().waiting == 1
        came_through = await first.end()
        assert await second.end()
        assert served == ["first", "second"] or (served == ["second"] and not came_through)
        met += handed and "first" not in served
        assert await soon(gated.whole), pool
        assert "first" in served or len(gated.made) == made, "a hand-off that was undone costs nothing"

    async def main() -> None:
        gated = GatedPool(Gate("none"), kind, plain=True)
        for ahead in range(6):
            await play(gated, ahead)

    run(loop, main)
    assert met, "the two never met"


@EVERY_LOOP
@pytest.mark.parametrize("contended", [False, True], ids=["free", "contended"])
@EVERY_WAY
def test_after_any_number_of_turns_of_the_loop(way: str, contended: bool, loop: str) -> None:
    have, kind = WAYS[way]

    async def play(turns: int) -> bool:
        blocking = kind is fastpool.Pool  # a check and a reset take an unknown number of iterations
        gated = GatedPool(Gate("none"), kind, plain=blocking, check_after=0)
        pool = gated.pool
        async with pool.aconnection():
            pass
        assert await soon(gated.whole)
        holder = pool.aconnection()
        if contended:
            await holder.__aenter__()
        struck = Cancelled(lambda: have(pool, lambda: steps(1)))
        for turn in range(turns):
            if contended and turn == 2:
                await holder.__aexit__(None, None, None)
            await asyncio.sleep(0)
        struck.strike()
        came_through = await struck.end()
        if contended and turns <= 2:
            await holder.__aexit__(None, None, None)
        await serves(gated)
        pool.close() if blocking else await pool.close()
        return came_through

    async def main() -> None:
        came_through = turns = 0
        while came_through < 3:  # so that every point up to the end was tested
            came_through += await play(turns)
            turns += 1
        assert turns > 3

    run(loop, main)
