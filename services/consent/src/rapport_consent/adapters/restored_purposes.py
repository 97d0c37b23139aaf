"""Purposes that a restored ledger has lost, put in force again as the stream tells of them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rapport.consent.v1 import events_pb2
from rapport_chassis.times import moment

from rapport_consent.adapters.catalogue import KIND
from rapport_consent.adapters.ledger import LedgerUnit
from rapport_consent.app.tell_of_purpose import tell_of_purpose
from rapport_consent.domain.purposes import Purpose
from rapport_consent.translate.purposes import purpose_state

_BY: Final = "restored"
_WHY: Final = "told by the stream"
_DRAFT: Final = """
INSERT INTO authored_versions (kind, id, version, state, body, created_at, created_by)
VALUES (%(kind)s, %(id)s, %(version)s, 'draft', %(body)s, %(now)s, %(by)s) ON CONFLICT DO NOTHING
"""
_ACTIVATE: Final = """
UPDATE authored_versions
SET state = 'active', active_from = %(from)s, decided_by = %(by)s, decided_at = %(now)s, reason = %(why)s
WHERE kind = %(kind)s AND id = %(id)s AND version = %(version)s AND state = 'draft'
"""


async def purpose_told(unit: LedgerUnit, message: events_pb2.PurposeChanged, *, now: datetime) -> int:
    """Put in force what an event says is, and tell every gate; return how many rows that took."""
    (told,) = message.change.purposes
    before = await unit.versions.purpose(message.purpose_id)
    if purpose_state(before) == told:
        return 0
    for rule in told.rules:
        values = {
            "kind": KIND,
            "id": message.purpose_id,
            "version": rule.version,
            "body": rule.terms.SerializeToString(deterministic=True),
            "from": moment(rule.active_from),
            "now": now,
            "by": _BY,
            "why": _WHY,
        }
        await unit.connection.execute(_DRAFT, values)
        await unit.connection.execute(_ACTIVATE, values)
    if told.retired and not before.retired:
        await unit.versions.retire(message.purpose_id, actor=_BY, reason=_WHY, now=now)
    purpose: Purpose = await unit.versions.purpose(message.purpose_id)
    await tell_of_purpose(unit, purpose, message.version, now=now)
    return 1
