"""The scenes about one person: asked, granted, proven, withdrawn, refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from rapport.consent.v1 import consent_pb2, ledger_pb2, purpose_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.times import stamp
from rapport_privacy.receipts import ReceiptError, verify_receipt

from rapport_local.commands.verify import flattened
from rapport_local.demo.asking import NOTICE, grant, request_id, terms
from rapport_local.demo.report import Report, basis_words, words
from rapport_local.demo.shop import OFFICER, Cast

NORTH: Final = "north"
EMAIL: Final = "marketing.email"
DELIVERY: Final = "order.delivery"
SERVICE: Final = "customer.service"
REQUESTS: Final = "privacy.requests"
ANALYTICS: Final = "analytics.visits"
OFFERS: Final = "offers.personal"
LINKING: Final = "profile.linking"
PROFILING: Final = "profiling.churn"
PERSONAL_PRICES: Final = "pricing.personal"
TEXT: Final = "May North send you news and offers by e-mail? You can take it back at any time."

_PURPOSES: Final = {
    DELIVERY: terms(purpose_pb2.LEGAL_BASIS_CONTRACT),
    EMAIL: terms(purpose_pb2.LEGAL_BASIS_CONSENT, brand_scoped=True, direct_marketing=True),
    SERVICE: terms(purpose_pb2.LEGAL_BASIS_CONTRACT),
    REQUESTS: terms(purpose_pb2.LEGAL_BASIS_LEGAL_OBLIGATION),
    ANALYTICS: terms(purpose_pb2.LEGAL_BASIS_CONSENT),
    OFFERS: terms(purpose_pb2.LEGAL_BASIS_CONSENT),
    LINKING: terms(purpose_pb2.LEGAL_BASIS_CONSENT),
    PROFILING: terms(purpose_pb2.LEGAL_BASIS_CONSENT),
    PERSONAL_PRICES: terms(purpose_pb2.LEGAL_BASIS_CONSENT),
}
_SHOWN_OF_RECEIPT: Final = (
    "receipt_id",
    "pii_principal_id",
    "pii_processing.privacy_notice.sha256",
    "pii_processing.purposes.purpose",
    "pii_processing.purposes.lawful_basis",
    "pii_processing.purposes.withdrawal_method",
    "party_identification.party_name",
    "events.event_time",
    "events.event_state",
    "evidence.kind",
    "evidence.surface",
)
_AT_ONCE_S: Final = 1.0


async def purposes(report: Report, cast: Cast) -> None:
    """An officer says what may be wanted, on which basis, and in which words it is asked for."""
    report.say(f"A privacy officer, {OFFICER}, drafts and activates purposes; a login stands behind it.")
    rows = [("purpose", "legal basis", "version", "decided by")]
    active = []
    for purpose_id, meaning in _PURPOSES.items():
        draft = await cast.office.UpsertPurpose(
            purpose_pb2.UpsertPurposeRequest(request_id=request_id(), purpose_id=purpose_id, terms=meaning)
        )
        decided = await cast.office.ActivatePurpose(
            purpose_pb2.ActivatePurposeRequest(
                request_id=request_id(), purpose_id=purpose_id, version=draft.version, reason="launch"
            )
        )
        active.append(decided.purpose)
        basis = basis_words(meaning.bases[0].basis)
        brands = ", asked for by each brand" if meaning.brand_scoped else ""
        rows.append((purpose_id, basis + brands, str(decided.purpose.version), decided.purpose.decided_by))
    notice = await cast.office.PublishNotice(
        purpose_pb2.PublishNoticeRequest(
            request_id=request_id(),
            notice_id=NOTICE,
            locale="en",
            text=TEXT,
            purpose_ids=[EMAIL, ANALYTICS, OFFERS, LINKING, PROFILING, PERSONAL_PRICES],
            reason="launch",
        )
    )
    report.rows(rows)
    report.line(f'notice {NOTICE} {notice.version}: "{TEXT[:44]}…"')
    report.expect(
        all(each.state == purpose_pb2.VERSION_STATE_ACTIVE and each.decided_by == OFFICER for each in active),
        "every purpose is in force, and says who decided it",
    )


async def before(report: Report, cast: Cast, customer: str) -> None:
    """Nobody has asked the customer anything yet."""
    report.say("Silence is no consent. What rests on the contract goes on.")
    report.expect(await _decides(report, cast, customer, EMAIL, NORTH) == ("DENY", "NO_DECISION"), "no e-mail yet")
    report.expect(await _decides(report, cast, customer, DELIVERY) == ("PERMIT", "BASIS"), "the parcel is delivered")


async def granted(report: Report, cast: Cast, customer: str) -> consent_pb2.LedgerWrite:
    """The customer says yes."""
    write = await cast.record(customer, EMAIL, NORTH)
    (entry,) = write.entries
    report.say(f"The write is durable at position {write.token.position}; its receipt is {entry.receipt_id}.")
    after = await _decides(report, cast, customer, EMAIL, NORTH, write)
    report.expect(after == ("PERMIT", "GRANTED"), "North may write to them")
    south = await _decides(report, cast, customer, EMAIL, "south", write)
    report.expect(south == ("DENY", "NO_DECISION"), "South may not: they were not asked in its name")
    return write


async def receipt(report: Report, cast: Cast, write: consent_pb2.LedgerWrite) -> None:
    """The receipt proves it to anybody, with nothing but a public key."""
    asked = consent_pb2.GetReceiptRequest(receipt_id=write.entries[0].receipt_id)
    signed = await cast.shop.GetReceipt(asked)
    keys = (await cast.shop.ListSigningKeys(consent_pb2.ListSigningKeysRequest())).keys
    public = {key.kid: key.public_key for key in keys}[signed.kid]
    report.say(f"{len(signed.document)} bytes of canonical JSON, signed with Ed25519 key {signed.kid[:16]}…")
    try:
        fields = dict(flattened(verify_receipt(signed.document, signed.signature, public)))
    except ReceiptError:
        fields = {}
    report.rows([(name, fields.get(name, "")[:34]) for name in _SHOWN_OF_RECEIPT], heading=False)
    report.expect(bool(fields), "the signature holds: verified offline, no service was asked")
    forged = signed.document.replace(b"north", b"south", 1)
    report.expect(forged != signed.document and not _holds(forged, signed.signature, public), "a forged one does not")


async def withdrawn(report: Report, cast: Cast, customer: str) -> None:
    """The customer takes it back."""
    earlier = datetime.now(UTC)
    write = await cast.shop.WithdrawConsent(
        consent_pb2.WithdrawConsentRequest(request_id=request_id(), profile_id=customer)
    )
    _, took_s = await cast.until_denied(_entry(customer, EMAIL, NORTH))
    report.say("Nothing is named but the person: taking back never asks for more than giving did.")
    after = await _decides(report, cast, customer, EMAIL, NORTH, write)
    report.expect(after == ("DENY", "WITHDRAWN"), "North may no longer write to them")
    report.expect(took_s < _AT_ONCE_S, f"every check denies within {took_s * 1000:.0f} ms of the answer")
    delivery = await _decides(report, cast, customer, DELIVERY, "", write)
    report.expect(delivery == ("PERMIT", "BASIS"), "the parcel still comes")
    then = await cast.shop.GetConsentState(
        consent_pb2.GetConsentStateRequest(profile_id=customer, as_of=stamp(earlier))
    )
    report.expect(
        [state.status for state in then.states] == [ledger_pb2.CONSENT_STATUS_GRANTED],
        "and the ledger still knows that it was allowed before",
    )


async def refusals(report: Report, cast: Cast, customer: str) -> None:
    """What callers get wrong is answered with a reason, the field, and no content."""
    for what, reason, call in (
        ("a purpose that is misspelt", "UNKNOWN_PURPOSE", cast.shop.CheckConsent(_check(customer, "marketing.emial"))),
        ("a profile id that is none", "INVALID_REQUEST", cast.shop.CheckConsent(_check("someone@example.com", EMAIL))),
        ("a box without its brand", "BRAND_REQUIRED", cast.shop.RecordConsent(grant(customer, EMAIL))),
        (
            "the shop may not read the replica",
            "PERMISSION_DENIED",
            cast.shop.GetLedgerHead(consent_pb2.GetLedgerHeadRequest()),
        ),
        (
            "erasing needs a human operator",
            "PERMISSION_DENIED",
            cast.shop.RaiseFence(
                consent_pb2.RaiseFenceRequest(
                    request_id=request_id(), profile_id=customer, privacy_request_id="req_0000000000000000000000"
                )
            ),
        ),
    ):
        try:
            await call
        except RemoteError as error:
            field = f" at {error.fields[0].path}" if error.fields else ""
            report.expect(error.reason.name == reason, f"{what}: {error.reason.name}{field}")
        else:
            report.expect(False, f"{what} was not refused")


async def _decides(
    report: Report,
    cast: Cast,
    profile_id: str,
    purpose_id: str,
    brand_id: str = "",
    known: consent_pb2.LedgerWrite | None = None,
) -> tuple[str, str]:
    entry = _entry(profile_id, purpose_id, brand_id)
    decision = await cast.check(entry, known.token if known is not None else None)
    report.decision("customer", entry, decision)
    return words(decision)


def _entry(profile_id: str, purpose_id: str, brand_id: str = "") -> consent_pb2.CheckEntry:
    return consent_pb2.CheckEntry(profile_id=profile_id, purpose_id=purpose_id, brand_id=brand_id)


def _check(profile_id: str, purpose_id: str) -> consent_pb2.CheckConsentRequest:
    return consent_pb2.CheckConsentRequest(entry=_entry(profile_id, purpose_id))


def _holds(document: bytes, signature: bytes, key: bytes) -> bool:
    try:
        verify_receipt(document, signature, key)
    except ReceiptError:
        return False
    return True
