"""Issues certificates of erasure: signed, entered into the transparency log, and on one page of paper."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

import rfc8785
from rapport_chassis.database.pool import Connection
from rapport_chassis.signing import SigningKeys

from rapport_consent.adapters import transparency_intake
from rapport_consent.adapters.papers import one_page
from rapport_consent.domain.certificates import ErasureFacts, certificate_document, certificate_faults
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.letter_blocks import Role

_MOST_ROWS: Final = 30


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """A certificate: canonical JSON, the signature over exactly these bytes, and the key that made it."""

    document: bytes
    signature: bytes
    kid: str


async def issue(connection: Connection, facts: ErasureFacts, keys: SigningKeys) -> SignedCertificate:
    """Sign a certificate and have it logged, in the transaction that keeps it.

    Its log proof is `TransparencyLog.proof(facts.certificate_id)`, once the transaction is committed.

    Raises:
        RapportError: CERTIFICATE_NOT_READY, with the reasons as metadata: `certificate_faults` finds some.
    """
    if faults := certificate_faults(facts):
        raise ERRORS.error(
            "CERTIFICATE_NOT_READY", "the erasure is not complete, or not probed", metadata={"faults": " ".join(faults)}
        )
    document = rfc8785.dumps(certificate_document(facts))
    kid, signature = keys.sign(document)
    await transparency_intake.record(
        connection,
        reference=facts.certificate_id,
        request_id=facts.request_id,
        event="ERASURE_CERTIFIED",
        document={"certificate_sha256": sha256(document).hexdigest()},
        lasting=True,
    )
    return SignedCertificate(document, signature, kid)


def certificate_pdf(document: bytes, public_key: bytes, locale: str) -> bytes:
    """Return a certificate on one page of paper, in a language; another than those there are becomes English.

    Args:
        document: The certificate, as it was signed.
        public_key: Raw key that signed it.
        locale: The language.
    """
    every = json.loads(files("rapport_consent.domain").joinpath("data/certificate_texts.json").read_text("utf-8"))
    language = locale.replace("_", "-").split("-")[0].lower()
    texts = every[language if language in every else "en"]
    fields = json.loads(document)
    blocks = list(_blocks(fields, texts, sha256(document).hexdigest(), sha256(public_key).hexdigest()))
    rows = list(_rows(fields["answers"]))
    if len(rows) > _MOST_ROWS:
        rows = [*rows[:_MOST_ROWS], ("...", "", "", "", "")]
    title = f"{texts['title']} {fields['certificate_id']}"
    return one_page(title, blocks, locale=language, table=[texts["columns"], *rows])


def _blocks(
    fields: Mapping[str, Any], texts: Mapping[str, str], digest: str, fingerprint: str
) -> Iterator[tuple[Role, str]]:
    answers, probe, keys = fields["answers"], fields["probe"], fields["keys_destroyed"]
    kept = sum(int(each["count"]) for answer in _last(answers).values() for each in answer["kept"])
    yield "subject", f"{texts['title']} {fields['certificate_id']}"
    yield (
        "paragraph",
        texts["summary"].format(
            controller=fields["controller"]["name"],
            request_id=fields["request_id"],
            received_at=fields["received_at"][:10],
            completed_at=fields["completed_at"][:10],
            systems=len({answer["participant"] for answer in answers}),
            erased=sum(int(store["erased"]) for answer in answers for store in answer["stores"]),
        ),
    )
    yield "paragraph", texts["kept"].format(kept=kept) if kept else texts["nothing_kept"]
    if keys:
        yield "paragraph", texts["keys"].format(count=sum(int(each["count"]) for each in keys))
    yield "paragraph", texts["probe"].format(at=max(answer["completed_at"] for answer in probe)[:10])
    yield "subject", texts["check"]
    yield "paragraph", texts["document"].format(sha256=digest)
    yield "paragraph", texts["key"].format(fingerprint=fingerprint)
    yield "paragraph", texts["tools"]


def _last(answers: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what each participant answered last: what it kept before and let go since is not kept any more."""
    return {answer["participant"]: answer for answer in answers}


def _rows(answers: list[dict[str, Any]]) -> Iterator[tuple[str, str, str, str, str]]:
    erased: dict[str, int] = {}
    for answer in answers:
        name = answer["participant"]
        erased[name] = erased.get(name, 0) + sum(int(store["erased"]) for store in answer["stores"])
    for name, answer in _last(answers).items():
        first = (name, str(erased[name]))
        for each in answer["kept"]:
            yield (*first, f"{each['count']} ({each['store']})", each["ground"], each["until"][:10] or "-")
            first = ("", "")
        if not answer["kept"]:
            yield (*first, "0", "", "")
