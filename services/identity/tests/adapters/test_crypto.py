"""Values open only in their place under their key; hashes agree with the standard and tell kinds apart."""

from __future__ import annotations

import hmac
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_identity.adapters.crypto import (
    Hasher,
    UnreadableError,
    seal,
    unseal,
    unwrap,
    wrap,
)

KEY = bytes(range(32))
PAYLOADS = st.one_of(st.binary(max_size=3000), st.binary(min_size=1, max_size=4).map(lambda each: each * 1500))
IDS = st.from_regex(r"rec_[0-9A-Za-z]{22}", fullmatch=True)


@given(PAYLOADS, st.binary(max_size=300), IDS, st.integers(1, 2**31))
def test_value_opens_to_its_payload_and_the_reading_beside_it(
    payload: bytes, reading: bytes, record_id: str, version: int
) -> None:
    value = seal(KEY, record_id, version, payload, reading)
    assert unseal(KEY, record_id, version, value) == (payload, reading)


@given(st.binary(min_size=20, max_size=2000), st.data())
def test_value_opens_nowhere_else_and_not_when_it_was_changed(payload: bytes, data: st.DataObject) -> None:
    value = seal(KEY, "rec_1", 3, payload)
    place = data.draw(st.integers(0, len(value) - 1))
    changed = value[:place] + bytes([value[place] ^ data.draw(st.integers(1, 255))]) + value[place + 1 :]
    for key, record_id, version, wrong in (
        (os.urandom(32), "rec_1", 3, value),
        (KEY, "rec_2", 3, value),
        (KEY, "rec_1", 4, value),
        (KEY, "rec_1", 3, changed),
        (KEY, "rec_1", 3, value[: data.draw(st.integers(0, len(value) - 1))]),
    ):
        with pytest.raises(UnreadableError):
            unseal(key, record_id, version, wrong)


def test_equal_payloads_give_values_that_tell_nothing() -> None:
    assert len({seal(KEY, "rec_1", 1, b"the same") for _ in range(50)}) == 50


def test_long_payload_that_repeats_itself_is_stored_shorter() -> None:
    assert len(seal(KEY, "rec_1", 1, b"street " * 500)) < 200


@given(st.binary(min_size=32, max_size=32))
def test_wrapped_key_unwraps_under_its_epoch_only(secret: bytes) -> None:
    wrapped = wrap(KEY, secret)
    assert len(wrapped) == 40
    assert unwrap(KEY, wrapped) == secret
    with pytest.raises(UnreadableError):
        unwrap(os.urandom(32), wrapped)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_hash_is_hmac_sha256_cut_to_16_bytes(key: bytes, payload: bytes) -> None:
    assert Hasher(1, {1: key}).digest(payload) == hmac.digest(key, b"d" + payload, "sha256")[:16]


@given(st.text(max_size=20), st.text(max_size=20))
def test_equal_texts_of_two_kinds_have_nothing_in_common(one: str, other: str) -> None:
    hasher = Hasher(1, {1: KEY})
    payload = f"{one}\0{other}".encode()
    hashes = [hasher.source_key(one, other), hasher.event(one, other), hasher.digest(payload)]
    hashes += [hasher.term(kind, f"{one}\0{other}") for kind in (1, 2, 300)]
    assert len(set(hashes)) == len(hashes)


def test_every_version_in_use_is_searched_and_the_active_one_is_written() -> None:
    old, new = os.urandom(32), os.urandom(32)
    before, during = Hasher(1, {1: old}), Hasher(2, {2: new, 1: old})
    assert before.term(1, "x") in during.terms(1, "x")
    assert during.term(1, "x") in during.terms(1, "x")
    assert during.term(1, "x") == Hasher(2, {2: new}).term(1, "x")
    assert during.digest(b"x", 1) == before.digest(b"x")
    assert len(set(during.source_keys("crm", "1") + during.events("crm", "1"))) == 4
    assert old.hex() not in repr(vars(during))
