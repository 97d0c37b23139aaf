"""A record as a replica holds it, serialised: stored beside the payload, so that a start need neither parse nor fold.

It is worth something only as long as records are read in one way: whatever decides how that is done is part of a stamp,
and a reading with another stamp is as good as none.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib import metadata, resources
from sys import intern
from typing import Final

from rapport_identity.app.stored import IndexedContent
from rapport_identity.domain.facets import Facet
from rapport_identity.domain.folding import Column, fold_record
from rapport_identity.domain.records import Record, RecordKey

_FIELD: Final = "\x1f"
_VALUE: Final = "\x1e"
_SOURCES: Final = (
    ("rapport_identity.domain", ("folding.py", "names.py", "identifiers.py", "data/short_forms.json")),
    ("rapport_identity.translate", ("records.py", "readings.py")),
)
_LIBRARIES: Final = ("phonenumbers", "email-validator")


def reading_of(content: IndexedContent, *, dated: bool) -> bytes:
    """Return a record as a replica holds it, serialised; empty if one of its values cannot be written in this form.

    Args:
        content: The record.
        dated: Whether its source says when it wrote it.
    """
    key, values, facet = content
    head = (
        _stamp(),
        *key,
        ",".join(map(str, facet.kinds)),
        facet.brand_id,
        facet.market,
        facet.locale,
        facet.time_zone,
        "1" if facet.anonymous else "",
        facet.occurred_at.astimezone(UTC).isoformat() if dated else "",
    )
    written = [value if isinstance(value, str) else _VALUE.join(value or ()) for value in values]
    text = _FIELD.join((*head, *written))
    fields, many = (
        len(head) + len(values) - 1,
        sum(len(value) - 1 for value in values if isinstance(value, tuple) and value),
    )
    if text.count(_FIELD) != fields or text.count(_VALUE) != many:
        return b""
    return text.encode()


def content_in(reading: bytes, recorded_at: datetime) -> IndexedContent | None:
    """Return the record in a reading; None if there is none, or records are read in another way now.

    Args:
        reading: As it was stored.
        recorded_at: From when a record counts whose source does not say when it wrote it.
    """
    if not reading:
        return None
    stamp, source, record_id, kinds, brand_id, market, locale, time_zone, anonymous, at, *written = (
        reading.decode().split(_FIELD)
    )
    if stamp != _stamp():
        return None
    facet = Facet(
        tuple(map(int, kinds.split(","))) if kinds else (),
        bool(anonymous),
        intern(brand_id),
        intern(market),
        intern(locale),
        intern(time_zone),
        datetime.fromisoformat(at) if at else recorded_at,
    )
    # What is the same in many records is one object in memory.
    values: list[Column] = [intern(value) if value else None for value in written]
    for place in _lists():
        values[place] = tuple(map(intern, many.split(_VALUE))) if (many := written[place]) else ()
    return IndexedContent(RecordKey(intern(source), record_id), tuple(values), facet)


@cache
def _lists() -> list[int]:
    """Return the places of the columns that are lists."""
    values = fold_record(Record(RecordKey("", ""))).values()
    return [place for place, value in enumerate(values) if isinstance(value, tuple)]


@cache
def _stamp() -> str:
    """Return what differs whenever records may be read otherwise."""
    digest = sha256()
    for package, names in _SOURCES:
        for name in names:
            digest.update(resources.files(package).joinpath(name).read_bytes())
    for name in _LIBRARIES:
        digest.update(metadata.version(name).encode())
    return digest.hexdigest()[:16]
