"""A copy of all that identity holds of a person, in clear, record by record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rapport.identity.v1 import events_pb2, record_pb2, touchpoint_pb2
from rapport_chassis.database.pool import Connection
from rapport_privacy.participant.export import rows
from rapport_privacy.participant.holding import Exported, Origin, Store

from rapport_identity.adapters.held_records import EncryptedRecord, opened
from rapport_identity.app.ports import KeyStore

RECORDS: Final = "records"
TOUCHPOINTS: Final = "touchpoints"
PROFILES: Final = "profiles"
HISTORY: Final = "profile_history"
DECISIONS: Final = "steward_decisions"
REVIEWS: Final = "reviews"
ANNIVERSARIES: Final = "anniversaries"

_SERVICE: Final = ("customer.service",)

STORES: Final = (
    Store(RECORDS, "user.contact", Origin.PROVIDED, _SERVICE, ("notification",), source="SOURCE_SYSTEMS"),
    Store(
        TOUCHPOINTS,
        "user.behavior",
        Origin.OBSERVED,
        ("order.fulfilment", "analytics.visits"),
        ("churn", "notification"),
    ),
    Store(PROFILES, "user.unique_id", Origin.INFERRED, _SERVICE, ("consent", "churn", "pricing", "notification")),
    Store(HISTORY, "user.unique_id", Origin.INFERRED, _SERVICE, source="MATCHING"),
    Store(DECISIONS, "user.unique_id", Origin.INFERRED, _SERVICE, source="STEWARDS"),
    Store(REVIEWS, "user.unique_id", Origin.INFERRED, _SERVICE, source="MATCHING"),
    Store(ANNIVERSARIES, "user.demographic", Origin.INFERRED, ("offers.personal",), ("notification",)),
)
"""What identity keeps about people."""

WITHHELD: Final = "[withheld]"
"""Stands for what no copy ever holds: numbers that a state gave, which open other doors."""

_CHUNK: Final = 500
_FORBIDDEN: Final = frozenset({events_pb2.IDENTIFIER_KIND_NATIONAL_ID})

_RECORDS: Final = """
SELECT record_no, record_id, profile_id, recorded_under, version, position, recorded_at, key_id, value FROM records
WHERE profile_id = ANY (%s) AND NOT erased ORDER BY record_no
"""
_TOUCHPOINTS: Final = """
SELECT fact_id, facts.profile_id, type, payload, facts.occurred_at, facts.recorded_at, permits FROM facts
JOIN records USING (record_no) WHERE records.profile_id = ANY (%s) ORDER BY fact_id
"""
_PROFILES: Final = """
SELECT profile_id, version, status, state, created_at, updated_at,
    (SELECT array_agg(issued_id ORDER BY issued_id) FROM redirects
        WHERE redirects.profile_id = profiles.profile_id) AS ids
FROM profiles WHERE profile_id = ANY (%s) AND status IN ('active', 'frozen') ORDER BY profile_id
"""
_HISTORY: Final = """
SELECT moves.position, ordinal, moves.recorded_at, kind, record_id, from_profile, to_profile, matcher, cause
FROM moves JOIN records USING (record_no) WHERE records.profile_id = ANY (%s) AND NOT erased ORDER BY 1, 2
"""
_DECISIONS: Final = """
SELECT constraint_id, kind, created_at, withdrawn_at, array_agg(record_id ORDER BY record_id) AS record_ids
FROM constraints JOIN constrained_records USING (constraint_id) JOIN records USING (record_no)
WHERE profile_id = ANY (%s) GROUP BY constraint_id ORDER BY constraint_id
"""
_REVIEWS: Final = """
SELECT review_id, cause, created_at, verdict, decided_at FROM reviews
WHERE EXISTS (SELECT FROM records WHERE profile_id = ANY (%s) AND record_no IN (first_no, second_no)) ORDER BY review_id
"""
_ANNIVERSARIES: Final = """
SELECT record_id, kind, round FROM anniversaries JOIN records USING (record_no)
WHERE profile_id = ANY (%s) ORDER BY record_id, kind
"""


async def export(
    connection: Connection, keys: KeyStore, profile_ids: Collection[str], closure: Collection[str]
) -> AsyncIterator[Exported]:
    """Yield everything that is held under these profiles.

    Args:
        connection: In a transaction.
        keys: What records are encrypted with.
        profile_ids: The profiles that stand for the person.
        closure: Every id of the person; others are other people's, and are not shown.

    Raises:
        RapportError: NOT_READY.
    """
    values = [list(profile_ids)]
    async for each in _records(connection, keys, values):
        yield each
    async for row in rows(connection, _TOUCHPOINTS, values):
        said = _dict(touchpoint_pb2.Touchpoint.FromString(row.pop("payload")))
        yield Exported(TOUCHPOINTS, row["fact_id"], {**row, "touchpoint": said}, row["recorded_at"])
    async for row in rows(connection, _PROFILES, values):
        state = _dict(events_pb2.ProfileState.FromString(row.pop("state")))
        yield Exported(PROFILES, row["profile_id"], {**row, "state": state}, row["updated_at"])
    async for row in rows(connection, _HISTORY, values):
        foreign = [each for each in ("from_profile", "to_profile") if row[each] and row[each] not in closure]
        content = {key: value for key, value in row.items() if key not in (*foreign, "position", "ordinal")}
        record_id = f"{row['position']}.{row['ordinal']}"
        yield Exported(HISTORY, record_id, content, row["recorded_at"], redacted=tuple(foreign))
    async for row in rows(connection, _DECISIONS, values):
        yield Exported(DECISIONS, row["constraint_id"], row, row["created_at"])
    async for row in rows(connection, _REVIEWS, values):
        yield Exported(REVIEWS, row["review_id"], row, row["created_at"], redacted=("compared_with",))
    async for row in rows(connection, _ANNIVERSARIES, values):
        yield Exported(ANNIVERSARIES, f"{row['record_id']}.{row['kind']}", row)


async def _records(connection: Connection, keys: KeyStore, values: list[list[str]]) -> AsyncIterator[Exported]:
    chunk: list[EncryptedRecord] = []
    async for row in rows(connection, _RECORDS, values):
        chunk.append(EncryptedRecord(**row))
        if len(chunk) == _CHUNK:
            for each in await _opened(chunk, keys):
                yield each
            chunk = []
    for each in await _opened(chunk, keys):
        yield each


async def _opened(chunk: list[EncryptedRecord], keys: KeyStore) -> list[Exported]:
    held = await opened(chunk, keys)
    return [
        Exported(
            RECORDS,
            sealed.record_id,
            {"profile_id": each.profile_id, "version": each.version, **_said(each.payload)},
            each.recorded_at,
        )
        for sealed, each in zip(chunk, held, strict=True)
        if each.payload is not None
    ]


def _said(payload: bytes) -> Mapping[str, Any]:
    message = record_pb2.Record.FromString(payload)
    for each in message.person.identifiers:
        if each.kind in _FORBIDDEN:
            each.value = WITHHELD
    return _dict(message)


def _dict(message: Message) -> dict[str, Any]:
    return dict(MessageToDict(message, preserving_proto_field_name=True))
