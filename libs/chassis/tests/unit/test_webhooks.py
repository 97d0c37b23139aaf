"""Signed messages are told from others, whole or piece by piece."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis.webhooks import TOLERANCE_S, PiecewiseVerification, WebhookKey, signed_headers, verified

NOW = 1_800_000_000
SECRETS = [WebhookKey.shared("whsec_" + b64encode(bytes([n]) * 32).decode()) for n in range(3)]
SIGNING = "whsk_" + b64encode(bytes(32)).decode()


def piecewise(given: dict[str, str], pieces: list[bytes], keys: list[WebhookKey], now: int = NOW) -> bool:
    """Whether a message whose body comes so is signed."""
    verification = PiecewiseVerification(given, keys, now)
    for piece in pieces:
        verification.update(piece)
    return verification.succeeds


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(0, 2), st.integers(-TOLERANCE_S, TOLERANCE_S))
def test_a_body_in_pieces_is_signed_where_the_whole_is(pieces: list[bytes], signer: int, late: int) -> None:
    body = b"".join(pieces)
    headers = signed_headers("tsk_00000001", NOW, body, [SECRETS[signer]])
    for keys in ([SECRETS[0]], SECRETS[1:], SECRETS):
        known = SECRETS[signer] in keys
        assert piecewise(headers, pieces, keys, NOW + late) is verified(headers, body, keys, NOW + late) is known
    assert not piecewise(headers, [*pieces, b"x"], SECRETS)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "tsk_00000002"},
        {"webhook-id": ""},
        {"webhook-timestamp": str(NOW - TOLERANCE_S - 1)},
        {"webhook-timestamp": "now"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,AAAA"},
    ],
)
def test_another_id_time_or_signature_is_none(change: dict[str, str]) -> None:
    headers = signed_headers("tsk_00000001", NOW, b"body", SECRETS[:1])
    assert piecewise(headers, [b"bo", b"dy"], SECRETS)
    assert not piecewise(headers | change, [b"bo", b"dy"], SECRETS)
    assert not verified(headers | change, b"body", SECRETS, NOW)


def test_a_signing_key_is_not_shared_and_verifies_no_pieces() -> None:
    key = WebhookKey.parse(SIGNING)
    headers = signed_headers("tsk_00000001", NOW, b"body", [key])
    assert verified(headers, b"body", [key], NOW)
    assert not piecewise(headers, [b"body"], [key])
    with pytest.raises(ValueError, match="not shared"):
        WebhookKey.shared(SIGNING)
