"""Records of the population as sources send them."""

from __future__ import annotations

from typing import Final

from rapport.identity.v1 import events_pb2, record_pb2
from rapport_chassis.times import set_stamp

from rapport_identity.domain.records import Address, IdentifierKind, Record
from rapport_identity.population.sightings import Sighting

_KINDS: Final = {
    IdentifierKind.ACCOUNT: events_pb2.IDENTIFIER_KIND_ACCOUNT,
    IdentifierKind.DEVICE: events_pb2.IDENTIFIER_KIND_DEVICE,
    IdentifierKind.COOKIE: events_pb2.IDENTIFIER_KIND_COOKIE,
    IdentifierKind.NATIONAL_ID: events_pb2.IDENTIFIER_KIND_NATIONAL_ID,
}


def message_of(sighting: Sighting) -> record_pb2.Record:
    """Return what a source sends."""
    record = sighting.record
    message = record_pb2.Record(
        key=record_pb2.RecordKey(source=record.key.source, source_record_id=record.key.source_record_id),
        market=record.region or "",
    )
    set_stamp(message.occurred_at, sighting.occurred_at)
    _fill(message.person, record)
    return message


def _fill(person: record_pb2.PersonData, record: Record) -> None:
    person.birth_place, person.employer = record.birth_place or "", record.employer or ""
    if record.given_name or record.middle_names or record.surname:
        person.names.add(
            given_names=record.given_name or "", middle_names=record.middle_names or "", surname=record.surname or ""
        )
    _fill_birth_date(person, record.birth_date)
    if (address := record.address) is not None and address != Address():
        person.addresses.add(
            street=address.street or "",
            house_number=address.house or "",
            unit=address.unit or "",
            po_box=address.po_box or "",
            city=address.city or "",
            region=address.region or "",
            postal_code=address.postcode or "",
        )
    for email in record.emails:
        person.identifiers.add(kind=events_pb2.IDENTIFIER_KIND_EMAIL, value=email)
    for phone in record.phones:
        person.identifiers.add(kind=events_pb2.IDENTIFIER_KIND_PHONE, value=phone)
    for each in record.identifiers:
        person.identifiers.add(kind=_KINDS[each.kind], namespace=each.namespace, value=each.value)


def _fill_birth_date(person: record_pb2.PersonData, text: str | None) -> None:
    """Only a date that sources can send: one that was written in another way is left out, as their forms would."""
    parts = (text or "").split("-")
    if len(parts) == 3 and all(part.isdecimal() for part in parts):
        year, month, day = map(int, parts)
        if month <= 12 and day <= 31:
            person.birth_date.year, person.birth_date.month, person.birth_date.day = year, month, day
