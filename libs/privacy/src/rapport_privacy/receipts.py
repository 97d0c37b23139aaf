"""Verification of a consent receipt, offline: the receipt and a public key are all it takes."""

import json
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class ReceiptError(Exception):
    """A receipt proves nothing."""


class PublicKeyError(ReceiptError):
    """The key is not a raw Ed25519 public key of 32 bytes."""


class SignatureError(ReceiptError):
    """The signature does not belong to this document and key."""


class MalformedDocumentError(ReceiptError):
    """The document is not a JSON object."""


class NonCanonicalDocumentError(ReceiptError):
    """The document is not in the canonical form of RFC 8785, so other bytes could claim to be the same receipt."""


def verify_receipt(document: bytes, signature: bytes, public_key: bytes) -> dict[str, Any]:
    """Verify a receipt and return its fields.

    Args:
        document: The receipt as it was signed, canonical JSON.
        signature: Ed25519 signature over the document.
        public_key: Raw Ed25519 public key, from `ListSigningKeys` or a package.

    Raises:
        PublicKeyError: The key is not one.
        SignatureError: The signature does not fit.
        MalformedDocumentError: The document is not a JSON object.
        NonCanonicalDocumentError: The document is JSON, but not canonical.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
    except ValueError as error:
        raise PublicKeyError("not a raw Ed25519 public key") from error
    try:
        key.verify(signature, document)
    except InvalidSignature as error:
        raise SignatureError("the signature does not belong to this document and key") from error
    try:
        fields = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise MalformedDocumentError("not JSON") from error
    if not isinstance(fields, dict):
        raise MalformedDocumentError("not a JSON object")
    if not _is_canonical(fields, document):
        raise NonCanonicalDocumentError("not the canonical form of RFC 8785")
    return fields


def _is_canonical(fields: dict[str, Any], document: bytes) -> bool:
    try:
        return rfc8785.dumps(fields) == document
    except rfc8785.CanonicalizationError:
        return False
