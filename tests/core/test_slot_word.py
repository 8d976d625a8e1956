"""A slot's word: state, LISTED and epoch; no word ever recurs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.native import probe

parts = probe()
LISTED = 8


def one_slot() -> object:
    rig = parts.Rig(1)
    assert rig.grow()
    return rig


@given(st.lists(st.sampled_from(parts.STATES), max_size=30), st.booleans())
def test_moving_keeps_listed_and_never_repeats_a_word(states: list[str], listed: bool) -> None:
    rig = one_slot()
    rig.set_word(0, parts.STATES.index("GONE") | (LISTED if listed else 0))
    seen = {rig.word(0)}
    for count, state in enumerate(states, 1):
        word = rig.move(0, state)
        assert rig.word(0) == word
        assert word not in seen
        seen.add(word)
        assert (rig.state(0), rig.listed(0), rig.epoch(0), rig.spare_bits(0)) == (state, listed, count, 0)


def test_a_grab_wants_the_word_as_it_was_seen() -> None:
    rig = one_slot()
    rig.move(0, "IDLE")
    seen = rig.word(0)
    assert rig.grab(0, seen)
    assert rig.state(0) == "LEASED"
    assert not rig.grab(0, seen), "two hands"
    rig.put(0)  # idle again, but with another word
    assert rig.state(0) == "IDLE"
    assert not rig.grab(0, seen), "the epoch tells this idle slot from the one of before"


@pytest.mark.parametrize("listed", [False, True])
def test_a_lease_is_known_by_its_word_whatever_happens_to_listed(listed: bool) -> None:
    rig = one_slot()
    word = rig.move(0, "LEASED")
    other = word | LISTED if listed else word
    assert parts.Rig.lease_word(other) == parts.Rig.lease_word(word)
    assert parts.Rig.lease_word(rig.move(0, "LEASED")) != parts.Rig.lease_word(word)


def test_the_epoch_may_wrap_around() -> None:
    rig = one_slot()
    rig.set_word(0, (1 << 64) - parts.EPOCH_STEP | LISTED | parts.STATES.index("IDLE"))
    assert rig.grab(0, rig.word(0))
    assert (rig.state(0), rig.listed(0), rig.epoch(0)) == ("LEASED", True, 0)
