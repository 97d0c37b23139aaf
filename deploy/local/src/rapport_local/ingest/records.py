"""Rows of customers as records of identity. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from zoneinfo import ZoneInfo

from rapport.identity.v1 import events_pb2, record_pb2
from rapport_chassis.times import stamp

from rapport_local.ingest.cells import Fault, Row, day, moment, text
from rapport_local.ingest.columns import IdentifierCell
from rapport_local.ingest.mapping import Customers

_NAME: Final = ("full_name", "given_names", "middle_names", "surname", "suffix")
_ADDRESS: Final = ("street", "house_number", "unit", "po_box", "city", "region", "postal_code", "country")
_PLAIN: Final = ("birth_place", "employer", "occupation")
_KINDS: Final = {
    kind: events_pb2.IdentifierKind.Value(f"IDENTIFIER_KIND_{kind.upper()}")
    for kind in ("email", "phone", "account", "device", "cookie", "external", "national_id")
}


def record_of(table: Customers, row: Row, zone: ZoneInfo) -> record_pb2.Record:
    """Return the record of a row.

    Raises:
        Fault: The row has no key, or a value that cannot be read.
    """
    key = (row.get(table.key) or "").strip()
    if not key:
        raise Fault("key.source_record_id", "is empty")
    record = record_pb2.Record(
        key=record_pb2.RecordKey(source=table.source, source_record_id=key),
        brand_id=text(table.brand, row, "brand_id"),
        market=text(table.market, row, "market"),
        locale=text(table.locale, row, "locale"),
        time_zone=text(table.time_zone, row, "time_zone"),
        customer_since=day(table.customer_since, row, "customer_since"),
    )
    if table.occurred_at is not None:
        record.occurred_at.CopyFrom(stamp(moment(table.occurred_at, row, "occurred_at", zone)))
    _describe(record.person, table, row)
    return record


def identifiers_of(cells: Iterable[IdentifierCell], row: Row) -> list[record_pb2.Identifier]:
    """Return the identifiers that a row holds; a column without a value gives none."""
    found = [(cell, _put(cell, (row.get(cell.column) or "").strip())) for cell in cells]
    return [
        record_pb2.Identifier(kind=_KINDS[cell.kind], namespace=cell.namespace, value=value)
        for cell, value in found
        if value
    ]


def _put(cell: IdentifierCell, value: str) -> str:
    return cell.pattern.replace("{}", value) if cell.pattern and value else value


def _describe(person: record_pb2.PersonData, table: Customers, row: Row) -> None:
    said = {name: text(cell, row, f"person.{name}") for name, cell in table.person.items() if name != "birth_date"}
    name = {field: said[field] for field in _NAME if said.get(field)}
    if name:
        person.names.add(**name)
    address = {field: said[field] for field in _ADDRESS if said.get(field)}
    if address:
        person.addresses.add(**address)
    for field in _PLAIN:
        if said.get(field):
            setattr(person, field, said[field])
    born = day(table.person.get("birth_date"), row, "person.birth_date")
    if born is not None:
        person.birth_date.CopyFrom(born)
    person.identifiers.extend(identifiers_of(table.identifiers, row))
