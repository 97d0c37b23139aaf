"""Rounds that have come, as the event of the contract."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Final

from rapport.identity.v1 import events_pb2
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.ids import id_from
from rapport_chassis.times import set_stamp

from rapport_identity.app.anniversaries import Coming
from rapport_identity.domain.anniversaries import Anniversary
from rapport_identity.translate.events import SOURCE

KINDS: Final = {
    Anniversary.BIRTHDAY: events_pb2.ANNIVERSARY_KIND_BIRTHDAY,
    Anniversary.CUSTOMER: events_pb2.ANNIVERSARY_KIND_CUSTOMER,
}


def due_event(coming: Coming, recorded_at: datetime, expires_at: datetime) -> Event:
    """Return the event that tells of a round. Its id is that of the profile's round, however often it is told."""
    message = events_pb2.AnniversaryDue(profile_id=coming.profile_id, version=coming.round, kind=KINDS[coming.kind])
    set_stamp(message.expires_at, expires_at)
    set_stamp(message.recorded_at, recorded_at)
    digest = sha256(f"anniversary\0{coming.profile_id}\0{coming.kind}\0{coming.round}".encode()).digest()
    return event_of(message, source=SOURCE, occurred_at=recorded_at, event_id=id_from("event", digest))
