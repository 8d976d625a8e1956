"""The table of slots grows, and its elements keep their addresses."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.core.native import probe

parts = probe()


def grown(size: int) -> object:
    rig = parts.Rig(size)
    for _ in range(size):
        assert rig.grow()
    return rig


def test_slots_do_not_move_and_do_not_overlap() -> None:
    rig = parts.Rig()
    addresses: list[int] = []
    for index in range(1000):
        assert rig.grow()
        addresses.append(rig.address(index))
        if index in (0, 7, 8, 23, 24, 55, 999):  # around the edges of chunks
            assert [rig.address(i) for i in range(index + 1)] == addresses
    ordered = sorted(addresses)
    assert all(b - a >= parts.SLOT_BYTES for a, b in pairwise(ordered))
    assert all(address % parts.LINE_BYTES == 0 for address in addresses), "a slot shares a cache line with another"


@pytest.mark.parametrize(("size", "chunks"), [(0, 0), (1, 1), (8, 1), (9, 2), (24, 2), (25, 3), (56, 3), (57, 4)])
def test_a_chunk_is_there_when_its_first_slot_is(size: int, chunks: int) -> None:
    assert grown(size).chunks == chunks


def test_every_slot_has_a_bit_of_its_own_in_the_warm_map() -> None:
    rig = grown(600)
    places = {rig.warm_place(index) for index in range(600)}
    assert len(places) == 600
    assert all(bit & (bit - 1) == 0 for _, bit in places)


def test_new_slots_are_outside_the_pool_until_it_takes_them_in() -> None:
    rig = grown(10)
    assert {rig.state(index) for index in range(10)} == {"GONE"}
    assert rig.take() is None
    assert rig.vacant_take() is None


def test_there_is_room_for_65535_connections_and_more() -> None:
    rig = grown(65535)
    assert rig.size == 65535
    assert rig.state(65534) == "GONE"
    assert rig.table_bytes < 2 * 65536 * (parts.SLOT_BYTES + 1), "at worst the last chunk is all but empty"


def test_no_slot_beyond_the_last() -> None:
    rig = grown(parts.SLOTS_AT_MOST)
    assert not rig.grow()
    assert rig.size == parts.SLOTS_AT_MOST
