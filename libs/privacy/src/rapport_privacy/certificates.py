"""Verification of a certificate of erasure, offline: its signature, what each participant signed, and its log entry."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from google.protobuf.message import DecodeError
from rapport.common.v1 import privacy_pb2
from rapport_chassis.signing import PublicKey, kid_of
from rapport_chassis.times import moment

from rapport_privacy.log_proofs import ProofError, verify_logged
from rapport_privacy.notes import NoteKey
from rapport_privacy.participant.answers import is_genuine
from rapport_privacy.receipts import ReceiptError, verify_receipt

SCHEMA: Final = "rapport-certificate/1"

_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CertificateError(Exception):
    """A certificate proves nothing."""


def verify_certificate(
    document: bytes,
    signature: bytes,
    public_key: bytes,
    *,
    log_proof: str = "",
    log_keys: Iterable[bytes] = (),
    witnesses: Iterable[NoteKey] = (),
) -> dict[str, Any]:
    """Verify a certificate and return its fields.

    Args:
        document: The certificate as it was signed, canonical JSON.
        signature: Ed25519 signature over it.
        public_key: Raw key of the service, from `ListSigningKeys`.
        log_proof: Proof that it is in the transparency log; empty where there is none.
        log_keys: Raw keys of the service, retired ones included.
        witnesses: Keys of witnesses each of which must have cosigned the log.

    Raises:
        CertificateError: It is not genuine, a participant did not sign what it says, or the log has another one.
    """
    try:
        fields = verify_receipt(document, signature, public_key)
    except ReceiptError as error:
        raise CertificateError(str(error)) from error
    if fields.get("schema") != SCHEMA:
        raise CertificateError("not a certificate of erasure")
    try:
        for answer in (*fields["answers"], *fields["probe"]):
            _verify_answer(fields["request_id"], answer)
    except (KeyError, TypeError, ValueError) as error:
        raise CertificateError("an answer in it is malformed") from error
    if log_proof:
        try:
            entry, _ = verify_logged(log_proof, log_keys, witnesses)
        except ProofError as error:
            raise CertificateError(f"its log proof: {error}") from error
        if entry.get("certificate_sha256") != sha256(document).hexdigest():
            raise CertificateError("the entry in the transparency log is of another certificate")
    return fields


def unsigned(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the participants that did not sign themselves: people and old systems, for whom an operator confirmed."""
    yield from (answer["participant"] for answer in (*fields["answers"], *fields["probe"]) if not answer["signed"])


def _verify_answer(request_id: str, answer: Mapping[str, Any]) -> None:
    """Compare an answer with what its participant signed.

    Raises:
        CertificateError: The signature is wrong, or it signed something else.
    """
    name = answer["participant"]
    if not answer["signed"]:
        if not answer["confirmed_by"]:
            raise CertificateError(f"{name} has neither signed nor was confirmed")
        return
    message, key = privacy_pb2.PrivacyTaskCompleted(), _decoded(answer["public_key"])
    try:
        message.ParseFromString(_decoded(answer["signed"]))
    except DecodeError as error:
        raise CertificateError(f"what {name} signed cannot be read") from error
    if not is_genuine(message, [PublicKey(kid_of(key), key, _NO_TIME)]):
        raise CertificateError(f"the signature of {name} does not fit")
    said = {
        "participant": message.participant,
        "task": privacy_pb2.PrivacyTaskKind.Name(message.kind).removeprefix("PRIVACY_TASK_KIND_"),
        "outcome": privacy_pb2.PrivacyTaskOutcome.Name(message.outcome).removeprefix("PRIVACY_TASK_OUTCOME_"),
        "stores": [
            {"store": each.store, "found": str(each.found), "erased": str(each.acted)} for each in message.stores
        ],
        "kept": [
            {
                "store": each.store,
                "count": str(each.count),
                "ground": each.ground,
                "until": f"{moment(each.until):%Y-%m-%dT%H:%M:%S.%fZ}" if each.HasField("until") else "",
            }
            for each in message.exceptions
        ],
    }
    if message.request_id != request_id or any(answer[field] != value for field, value in said.items()):
        raise CertificateError(f"{name} signed something else than the certificate says")


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise CertificateError("an answer in it is malformed") from error
