"""Signed receipts, and the keys to verify them by."""

from __future__ import annotations

from rapport.consent.v1 import consent_pb2
from rapport_chassis.signing import PublicKey
from rapport_chassis.times import stamp


def receipt_message(receipt_id: str, document: bytes, signature: bytes, kid: str) -> consent_pb2.Receipt:
    """Return a signed receipt as a message."""
    return consent_pb2.Receipt(receipt_id=receipt_id, document=document, signature=signature, kid=kid)


def signing_key_message(key: PublicKey) -> consent_pb2.SigningKey:
    """Return a public key as a message."""
    message = consent_pb2.SigningKey(kid=key.kid, public_key=key.public_key, active_from=stamp(key.active_from))
    if key.retired_at is not None:
        message.retired_at.CopyFrom(stamp(key.retired_at))
    return message
