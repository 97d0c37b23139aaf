"""What the ledger keeps beside its rows, in the same transaction: present states, redirects and fences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rapport.consent.v1 import ledger_pb2
from rapport_chassis.database import bulk
from rapport_chassis.database.pool import Connection

from rapport_consent.domain.changes import LedgerChange
from rapport_consent.domain.rows import RowKind

_STORE: Final = """
INSERT INTO subject_states (profile_id, state) SELECT * FROM unnest(%s::text[], %s::bytea[])
ON CONFLICT (profile_id) DO UPDATE SET state = excluded.state
"""
_DROP: Final = "DELETE FROM subject_states WHERE profile_id = ANY (%s::text[])"
_FENCE: Final = """
INSERT INTO fences (profile_id, kind, position, privacy_request_id) VALUES (%s, 'erased', %s, %s)
ON CONFLICT (profile_id) DO NOTHING
"""
_PROFILES: Final = """
INSERT INTO profiles (profile_id, current_id, family) SELECT *, %s FROM unnest(%s::text[], %s::text[])
ON CONFLICT (profile_id) DO UPDATE SET current_id = excluded.current_id, family = excluded.family
"""
_JOIN_FAMILIES: Final = """
UPDATE profiles SET family = %s WHERE family IN (SELECT family FROM profiles WHERE profile_id = ANY (%s::text[]))
"""


async def store(
    connection: Connection, changes: Sequence[LedgerChange], states: Mapping[str, ledger_pb2.SubjectState]
) -> None:
    """Write the states that result, and the redirects and fences that changed."""
    if states:
        stored = bulk.byte_array(state.SerializeToString() for state in states.values())
        await connection.execute(_STORE, (bulk.array(states), stored))
    absorbed = [i for change in changes for subject in change.subjects for i in subject.redirect_ids]
    if absorbed:
        await connection.execute(_DROP, (absorbed,))
    for change in changes:
        if change.row.partition is not None:
            await _follow_partition(connection, change)
        elif change.row.kind is RowKind.FENCE:
            await connection.execute(_FENCE, (change.row.named_id, change.row.position, change.row.ground))


def fold(
    stored: Mapping[str, bytes], messages: Iterable[ledger_pb2.LedgerChange]
) -> dict[str, ledger_pb2.SubjectState]:
    """Apply changes to whole states, as a gate does."""
    states: dict[str, ledger_pb2.SubjectState] = {}
    for message in messages:
        for subject in message.subjects:
            if subject.whole:
                states[subject.profile_id] = ledger_pb2.SubjectState()
                states[subject.profile_id].CopyFrom(subject)  # the message itself goes out as it is
                continue
            whole = states.get(subject.profile_id)
            if whole is None:
                whole = ledger_pb2.SubjectState.FromString(stored.get(subject.profile_id, b""))
                whole.profile_id, whole.whole = subject.profile_id, True
                states[subject.profile_id] = whole
            _fold_one(whole, subject)
    return states


def _fold_one(whole: ledger_pb2.SubjectState, subject: ledger_pb2.SubjectState) -> None:
    for told in subject.states:
        for known in whole.states:
            if known.purpose_id == told.purpose_id and known.brand_id == told.brand_id:
                known.CopyFrom(told)
                break
        else:
            whole.states.add().CopyFrom(told)
    if subject.HasField("restriction"):
        if subject.restriction.in_force:
            whole.restriction.CopyFrom(subject.restriction)
        else:
            whole.ClearField("restriction")


async def _follow_partition(connection: Connection, change: LedgerChange) -> None:
    current = {
        i: subject.profile_id for subject in change.subjects for i in (subject.profile_id, *subject.redirect_ids)
    }
    family = min(current)
    ids = list(current)
    await connection.execute(_JOIN_FAMILIES, (family, ids))
    await connection.execute(_PROFILES, (family, ids, list(current.values())))
