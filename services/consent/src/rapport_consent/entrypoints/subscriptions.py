"""Events that the consent service follows: identity's merges and splits."""

from __future__ import annotations

from typing import Final

from rapport.identity.v1 import events_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection
from rapport_chassis.events.envelope import Received
from rapport_chassis.times import moment

from rapport_consent.app.follow_profiles import follow_profiles
from rapport_consent.app.reopen_requests import reopen_requests
from rapport_consent.domain.rows import RowKind
from rapport_consent.entrypoints.ports import LedgerStore
from rapport_consent.entrypoints.request_ports import RequestStore
from rapport_consent.translate.profiles import merge_of, split_of

CONSUMER: Final = "consent-profiles"
"""The durable consumer; `deploy/nats/consumers.yaml` declares it."""

PROFILE_EVENTS: Final = (events_pb2.ProfilesMerged, events_pb2.ProfileSplit)
"""What it reads."""


class Profiles:
    """Handles profiles_merged and profile_split, in any order."""

    def __init__(self, store: LedgerStore, requests: RequestStore | None, clock: Clock) -> None:
        self._store = store
        self._requests = requests
        self._clock = clock

    async def handle(self, event: Received, connection: Connection) -> None:
        """Follow one event in the transaction that also enters it as received."""
        unit = self._store.unit_on(connection)
        if event.name == "profile_split":
            split = event.parse(events_pb2.ProfileSplit)
            change, when = split_of(event.id, split), moment(split.occurred_at)
            await follow_profiles(unit, RowKind.SPLIT, split.left_profile_id, change, occurred_at=when)
        else:
            merged = event.parse(events_pb2.ProfilesMerged)
            change, when = merge_of(event.id, merged), moment(merged.occurred_at)
            await follow_profiles(unit, RowKind.MERGE, merged.survivor_id, change, occurred_at=when)
        if self._requests is not None:
            await reopen_requests(self._requests.unit_on(connection), change.ids, self._clock.now())
