from __future__ import annotations

import re
from hashlib import sha256
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis.ids import PREFIXES, id_from, new_id, new_ids, partition


@pytest.mark.parametrize("kind", PREFIXES)
def test_an_id_is_its_prefix_and_22_random_letters(kind: str) -> None:
    assert re.fullmatch(rf"{PREFIXES[kind]}_[0-9A-Za-z]{{22}}", new_id(kind))


def test_no_two_kinds_share_a_prefix() -> None:
    assert len(set(PREFIXES.values())) == len(PREFIXES)


def test_ids_do_not_repeat_and_use_every_letter() -> None:
    ids = {new_id("profile") for _ in range(2000)}
    assert len(ids) == 2000
    assert len({letter for each in ids for letter in each.removeprefix("prf_")}) == 62


def test_ids_in_a_row_are_like_single_ones() -> None:
    ids = set(islice(new_ids("event"), 1000))
    assert len(ids) == 1000
    assert all(re.fullmatch(r"evt_[0-9A-Za-z]{22}", each) for each in ids)


def test_an_unknown_kind_has_no_ids() -> None:
    with pytest.raises(KeyError):
        new_id("person")
    with pytest.raises(KeyError):
        next(new_ids("person"))


@given(st.text())
def test_a_partition_is_the_first_byte_of_the_hash_modulo_16(key: str) -> None:
    assert partition(key) == int(sha256(key.encode()).hexdigest()[:2], 16) % 16


def test_partitions_of_known_keys_never_change() -> None:
    """Events already published lie by them."""
    assert [partition(key) for key in ("prf_0", "prf_1", "mdl_churn")] == [
        sha256(key).digest()[0] & 15 for key in (b"prf_0", b"prf_1", b"mdl_churn")
    ]


def test_an_id_from_a_digest_is_the_same_for_the_same_and_of_the_same_form() -> None:
    one, other = id_from("contact_point", bytes(range(32))), id_from("contact_point", bytes(range(1, 33)))
    assert one == id_from("contact_point", bytes(range(32))) != other
    assert re.fullmatch("cnt_[0-9A-Za-z]{22}", one)
