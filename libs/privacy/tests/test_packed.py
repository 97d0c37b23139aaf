"""Ids and decisions in columns: nothing is lost, nothing is mistaken for another."""

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_privacy.audience import PackedIds, rows_of
from rapport_privacy.packed import PROFILE, Block, key_of, profile_id_of, raw_of
from rapport_privacy.packing import Packer
from rapport_privacy.state import Subject

LETTERS = string.ascii_letters + string.digits
usual = st.text(LETTERS, min_size=22, max_size=22).map("prf_".__add__)
FOREIGN = [
    "",
    "prf_",
    "prf_short",
    "prf_" + 23 * "a",
    "cus_" + 22 * "a",
    "prf_" + 21 * "a" + "-",
    "prf_" + 18 * "a" + "----",
    "prf_" + 20 * "a" + "==",
    "prf_====" + 18 * "a",
    "prf_" + 21 * "a" + "\n",
    "prf_" + 21 * "a" + "é",
    "PRF_" + 22 * "a",
]


def find(block: Block, profile_id: str) -> int:
    """Look an id up in both ways there are."""
    key = key_of(profile_id)
    assert key is not None
    known, row = block.find(key), block.keys.find(key)
    assert row == (-1 if known is None else known[0])
    return row


@given(usual)
def test_an_id_comes_out_as_it_went_in(profile_id: str) -> None:
    raw = raw_of(profile_id, PROFILE)
    assert raw is not None
    assert profile_id_of(raw) == profile_id


@pytest.mark.parametrize("profile_id", FOREIGN)
def test_an_id_of_another_form_is_left_alone(profile_id: str) -> None:
    assert key_of(profile_id) is None
    assert raw_of(profile_id, PROFILE) is None
    assert not Packer().take(Subject(profile_id))


@given(st.lists(usual, unique=True, max_size=50), st.lists(usual, max_size=20))
def test_a_block_finds_the_ids_it_holds_and_no_other(held: list[str], others: list[str]) -> None:
    packer = Packer()
    assert all(packer.take(Subject(profile_id)) for profile_id in held)
    block, rest = packer.build()
    for profile_id in (*held, *others):
        row = find(block, profile_id)
        assert (row >= 0) == (profile_id in held)
        assert row < 0 or block.keys.profile_id(row) == profile_id
    assert not rest
    assert set(block.keys) == set(held)


def siblings(place: int) -> list[str]:
    """Ids that differ in one letter only."""
    return [f"prf_{place * 'k'}{letter}{(21 - place) * 'k'}" for letter in "kl0Z9"]


@pytest.mark.parametrize("place", range(22))
def test_ids_that_differ_in_one_letter_are_told_apart_wherever_it_stands(place: int) -> None:
    held, *others = siblings(place)
    packer = Packer()
    packer.take(Subject(held))
    block, _ = packer.build()
    rows = [find(block, profile_id) for profile_id in (held, *others)]
    assert rows == [0, -1, -1, -1, -1]
    assert rows_of(block.keys, PackedIds.of([held, *others])).tolist() == rows


@pytest.mark.parametrize("place", [0, 9, 11, 21])
def test_ids_too_alike_for_the_columns_are_all_handed_back(place: int) -> None:
    """The columns want different first 64 bits: ten letters, and two thirds of the next."""
    packer = Packer()
    for profile_id in siblings(place):
        packer.take(Subject(profile_id))
    block, rest = packer.build()
    assert [subject.profile_id for subject in rest] == ([] if place < 11 else siblings(place))
    assert len(block) + len(rest) == 5


@given(st.lists(usual | st.sampled_from(FOREIGN), max_size=20), st.data())
def test_many_ids_are_the_same_as_each_of_them(ids: list[str], data: st.DataObject) -> None:
    packed = PackedIds.of(ids)
    assert list(packed) == ids
    chosen = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
    selected = packed.select(np.array(chosen, np.bool_))
    assert list(selected) == [each for each, take in zip(ids, chosen, strict=True) if take]
    assert list(PackedIds.joined(packed, selected)) == [*ids, *selected]
