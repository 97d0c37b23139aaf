"""Between the contract's records and the rules: what comes in, from sources and from storage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from rapport.identity.v1 import events_pb2, record_pb2
from rapport_chassis.times import moment

from rapport_identity.app.stored import (
    HeldRecord,
    IndexedContent,
    IndexedRecord,
    RecordDraft,
    SourceKey,
    Submission,
    Term,
)
from rapport_identity.domain import identifiers
from rapport_identity.domain.facets import Facet
from rapport_identity.domain.folding import fold_record
from rapport_identity.domain.records import Address, Identifier, IdentifierKind, Record, RecordKey
from rapport_identity.domain.sightings import Normal
from rapport_identity.translate.readings import content_in, reading_of

_EXACT: Final = {
    events_pb2.IDENTIFIER_KIND_ACCOUNT: IdentifierKind.ACCOUNT,
    events_pb2.IDENTIFIER_KIND_EXTERNAL: IdentifierKind.ACCOUNT,
    events_pb2.IDENTIFIER_KIND_DEVICE: IdentifierKind.DEVICE,
    events_pb2.IDENTIFIER_KIND_COOKIE: IdentifierKind.COOKIE,
    events_pb2.IDENTIFIER_KIND_NATIONAL_ID: IdentifierKind.NATIONAL_ID,
}
_COLUMNS: Final = {
    events_pb2.IDENTIFIER_KIND_EMAIL: "emails",
    events_pb2.IDENTIFIER_KIND_PHONE: "phones",
    events_pb2.IDENTIFIER_KIND_ACCOUNT: "accounts",
    events_pb2.IDENTIFIER_KIND_EXTERNAL: "accounts",
    events_pb2.IDENTIFIER_KIND_DEVICE: "devices",
    events_pb2.IDENTIFIER_KIND_COOKIE: "devices",
    events_pb2.IDENTIFIER_KIND_NATIONAL_ID: "national_ids",
}
_EVER: Final = datetime.min.replace(tzinfo=UTC)
_NOBODY: Final = frozenset[int]({events_pb2.IDENTIFIER_KIND_DEVICE, events_pb2.IDENTIFIER_KIND_COOKIE})


def submission_of(message: record_pb2.Record, received_at: datetime) -> Submission:
    """Return a record as the use cases take it.

    Args:
        message: The record, valid.
        received_at: From when it counts if its source does not say when it wrote it.
    """
    record, facet = record_of(message), facet_of(message, received_at)
    forms = [(int(each.kind), normal_form(each, message.market)) for each in message.person.identifiers]
    naming = [(kind, normal) for kind, normal in forms if normal is not None]
    terms = tuple(dict.fromkeys(Term(kind, value) for kind, (_, value) in naming))
    payload = message.SerializeToString(deterministic=True)
    values, dated = tuple(fold_record(record).values()), message.HasField("occurred_at")
    reading = reading_of(IndexedContent(record.key, values, facet), dated=dated)
    draft = RecordDraft(SourceKey(*record.key), payload, terms, facet.occurred_at, reading)
    normals = tuple(dict.fromkeys(normal for _, normal in naming))
    return Submission(draft, record, facet, dated, normals, values)


def found_by(payload: bytes) -> tuple[SourceKey, tuple[Term, ...]]:
    """Return by what a stored record is found: what its source calls it, and its identifiers."""
    draft = submission_of(record_pb2.Record.FromString(payload), _EVER).draft
    return draft.key, draft.terms


def content_of(payload: bytes) -> bytes:
    """Return what a stored record says, when its source wrote it apart: the same for one that is exported again."""
    message = record_pb2.Record.FromString(payload)
    message.ClearField("occurred_at")
    return message.SerializeToString(deterministic=True)


def identifiers_in(payload: bytes) -> dict[Term, Normal]:
    """Return the identifiers of a stored record that name somebody: as they are found, and as they are compared."""
    message = record_pb2.Record.FromString(payload)
    forms = [(int(each.kind), normal_form(each, message.market)) for each in message.person.identifiers]
    return {Term(kind, normal[1]): normal for kind, normal in forms if normal is not None}


def indexed_of(held: HeldRecord) -> IndexedRecord:
    """Return a record as a replica holds it."""
    if held.payload is None:
        return IndexedRecord(held.record_no, held.profile_id, None)
    content = content_in(held.reading, held.recorded_at)
    if content is None:
        message = record_pb2.Record.FromString(held.payload)
        record = record_of(message)
        content = IndexedContent(record.key, tuple(fold_record(record).values()), facet_of(message, held.recorded_at))
    return IndexedRecord(held.record_no, held.profile_id, content)


def record_of(message: record_pb2.Record) -> Record:
    """Return a record as it is matched: of several names or addresses the present one."""
    key = RecordKey(message.key.source, message.key.source_record_id)
    return person_of(key, message.person, message.market)


def person_of(key: RecordKey, person: record_pb2.PersonData, market: str) -> Record:
    """Return what is known of a person as it is matched."""
    name = person.names[0] if person.names else record_pb2.PersonName()
    given, surname = name.given_names, name.surname
    if not given and not surname:
        *first, surname = name.full_name.split() or [""]
        given = " ".join(first)
    emails, phones, others = [], [], []
    for each in person.identifiers:
        kind = each.kind
        if kind == events_pb2.IDENTIFIER_KIND_EMAIL:
            emails.append(each.value)
        elif kind == events_pb2.IDENTIFIER_KIND_PHONE:
            phones.append(each.value)
        elif kind in _EXACT:
            others.append(Identifier(_EXACT[kind], each.namespace, each.value))
    return Record(
        key,
        given_name=given or None,
        middle_names=name.middle_names or None,
        surname=" ".join(part for part in (surname, name.suffix) if part) or None,
        birth_date=_date(person),
        birth_place=person.birth_place or None,
        address=_address(person.addresses[0]) if person.addresses else None,
        employer=person.employer or person.occupation or None,
        emails=tuple(emails),
        phones=tuple(phones),
        region=market[:2] or None,
        identifiers=tuple(others),
    )


def _address(place: record_pb2.Address) -> Address:
    return Address(
        place.house_number or None,
        place.street or None,
        place.unit or None,
        place.po_box or None,
        place.city or None,
        place.region or None,
        place.postal_code or None,
    )


def _date(person: record_pb2.PersonData) -> str | None:
    if not person.HasField("birth_date"):
        return None
    born = person.birth_date
    return f"{born.year:04}-{born.month:02}-{born.day:02}" if born.year and born.month and born.day else None


def normal_form(identifier: record_pb2.Identifier, market: str) -> tuple[str, str] | None:
    """Return the column and the normal form by which an identifier is compared; None if it names nobody."""
    column = _COLUMNS.get(identifier.kind)
    if column is None:
        return None
    if column == "emails":
        value = identifiers.email(identifier.value)
    elif column == "phones":
        value = identifiers.phone(identifier.value, market[:2] or None)
    else:
        value = identifiers.exact(Identifier(_EXACT[identifier.kind], identifier.namespace, identifier.value))
    return (column, value) if value else None


def facet_of(message: record_pb2.Record, recorded_at: datetime) -> Facet:
    """Return what others may know of a record."""
    person = message.person
    kinds = tuple(sorted({each.kind for each in person.identifiers}))
    return Facet(
        kinds,
        _NOBODY.issuperset(kinds) and not _is_named(person),
        message.brand_id,
        message.market,
        message.locale,
        message.time_zone,
        moment(message.occurred_at) if message.HasField("occurred_at") else recorded_at,
    )


def _is_named(person: record_pb2.PersonData) -> bool:
    return bool(
        person.names or person.addresses or person.HasField("birth_date") or person.birth_place or person.employer
    )
