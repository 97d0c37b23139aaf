from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rapport_chassis.asgi.links import KEY_BYTES, Link, LinkSigner
from rapport_chassis.errors import RapportError
from rapport_testing.clock import TestClock

OLD, NEW, STRANGE = (bytes([number]) * KEY_BYTES for number in range(3))
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = START + timedelta(days=30)

purposes = st.text(min_size=1, max_size=20)
subjects = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
times = st.datetimes(datetime(2026, 3, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive


def signer(*keys: bytes, clock: TestClock | None = None) -> LinkSigner:
    return LinkSigner(keys or (NEW,), clock=clock or TestClock(START))


def reason_of(links: LinkSigner, purpose: str, token: str) -> str:
    with pytest.raises(RapportError) as caught:
        links.open(purpose, token)
    return caught.value.reason.name


@given(purposes, subjects, times)
def test_what_is_signed_can_be_opened_for_its_purpose(purpose: str, subject: str, expires_at: datetime) -> None:
    token = signer().sign(purpose, subject, expires_at)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert signer().open(purpose, token) == Link(subject, expires_at.replace(microsecond=0))


@given(purposes, purposes, subjects)
def test_a_link_opens_nothing_else(purpose: str, other: str, subject: str) -> None:
    assume(purpose != other)
    assert reason_of(signer(), other, signer().sign(purpose, subject, LATER)) == "LINK_PURPOSE_WRONG"


@given(st.data())
def test_a_link_changed_anywhere_is_invalid(data: st.DataObject) -> None:
    token = signer().sign("unsubscribe", "prf_1", LATER)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    changed = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    assert reason_of(signer(), "unsubscribe", changed) == "LINK_INVALID"


@given(st.data())
def test_no_other_text_stands_for_the_same_link(data: st.DataObject) -> None:
    token = signer().sign("unsubscribe", "prf_1", LATER)
    at = data.draw(st.integers(0, len(token)))
    for other in (token[:at] + data.draw(st.characters()) + token[at:], token[:at] + token[at + 1 :]):
        if other != token:
            assert reason_of(signer(), "unsubscribe", other) == "LINK_INVALID"


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()))
def test_any_other_text_is_invalid(text: str) -> None:
    assert reason_of(signer(), "unsubscribe", text) == "LINK_INVALID"


def test_a_link_is_refused_from_its_expiry_on() -> None:
    clock = TestClock(START)
    links = signer(clock=clock)
    token = links.sign("unsubscribe", "prf_1", START + timedelta(seconds=10))
    clock.advance(9)
    assert links.open("unsubscribe", token).subject == "prf_1"
    clock.advance(1)
    assert reason_of(links, "unsubscribe", token) == "LINK_EXPIRED"


def test_links_outlive_a_rotation_until_their_key_is_dropped() -> None:
    before = signer(OLD).sign("unsubscribe", "prf_1", LATER)
    during = signer(NEW, OLD)
    assert during.open("unsubscribe", before).subject == "prf_1"
    assert signer(NEW).open("unsubscribe", during.sign("unsubscribe", "prf_2", LATER)).subject == "prf_2"
    assert reason_of(signer(NEW), "unsubscribe", before) == "LINK_INVALID"
    assert reason_of(signer(NEW, OLD), "unsubscribe", signer(STRANGE).sign("unsubscribe", "x", LATER)) == "LINK_INVALID"


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, b"short"]])
def test_weak_keys_are_refused(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="link keys"):
        LinkSigner(keys, clock=TestClock(START))


@pytest.mark.parametrize(
    ("purpose", "subject", "expires_at"),
    [
        ("", "s", LATER),
        ("p" * 256, "s", LATER),
        ("p", "", LATER),
        ("p", "s" * 2000, LATER),
        ("p", "s", LATER.replace(tzinfo=None)),
    ],
)
def test_a_link_that_could_not_be_opened_is_not_made(purpose: str, subject: str, expires_at: datetime) -> None:
    with pytest.raises(ValueError, match="link"):
        signer().sign(purpose, subject, expires_at)
