"""Receipts verified offline."""

from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from rapport_privacy.receipts import (
    MalformedDocumentError,
    NonCanonicalDocumentError,
    PublicKeyError,
    SignatureError,
    verify_receipt,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
FIELDS: dict[str, Any] = {
    "schema_version": "27560",
    "receipt_id": "rcp_1",
    "events": [{"state": "given", "time": "2030-01-01"}],
}
DOCUMENT = rfc8785.dumps(FIELDS)


def test_a_signed_canonical_receipt_yields_its_fields() -> None:
    assert verify_receipt(DOCUMENT, KEY.sign(DOCUMENT), PUBLIC) == FIELDS


@given(position=st.integers(0, len(DOCUMENT) - 1), flip=st.integers(1, 255))
def test_any_changed_byte_of_the_document_is_noticed(position: int, flip: int) -> None:
    changed = bytearray(DOCUMENT)
    changed[position] ^= flip
    with pytest.raises(SignatureError):
        verify_receipt(bytes(changed), KEY.sign(DOCUMENT), PUBLIC)


@pytest.mark.parametrize("signature", [b"", b"short", bytes(64), KEY.sign(b"another")])
def test_a_signature_of_something_else_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureError):
        verify_receipt(DOCUMENT, signature, PUBLIC)


def test_the_key_of_somebody_else_does_not_verify() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    with pytest.raises(SignatureError):
        verify_receipt(DOCUMENT, KEY.sign(DOCUMENT), other)


@pytest.mark.parametrize("key", [b"", PUBLIC[:-1], PUBLIC + b"x"])
def test_what_is_no_public_key_is_refused(key: bytes) -> None:
    with pytest.raises(PublicKeyError):
        verify_receipt(DOCUMENT, KEY.sign(DOCUMENT), key)


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b"7", b"[" * 100_000, b"\xff\xfe", b'"text"'])
def test_a_signed_document_that_is_no_object_is_refused(document: bytes) -> None:
    with pytest.raises(MalformedDocumentError):
        verify_receipt(document, KEY.sign(document), PUBLIC)


@pytest.mark.parametrize(
    "document",
    [
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":2}',
        b'{"a":1.0}',
        b'{"a":9007199254740993}',
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
    ],
)
def test_a_signed_document_in_another_form_is_refused(document: bytes) -> None:
    with pytest.raises(NonCanonicalDocumentError):
        verify_receipt(document, KEY.sign(document), PUBLIC)
