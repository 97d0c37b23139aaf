"""Events around the consent service: what it has published, and identity's side of a conversation with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from rapport.consent.v1 import events_pb2, ledger_pb2
from rapport.identity.v1 import events_pb2 as identity_pb2
from rapport_chassis.events.dead_letters import DeadLetters
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.events.jetstream import JetStreamApi
from rapport_chassis.events.wire import Wire
from rapport_testing.events import Broker
from rapport_testing.installation import Installation
from rapport_testing.waiting import eventually

STREAM = "RAPPORT_CONSENT"
DEAD_LETTERS = "RAPPORT_DLQ"
PROFILE_CONSUMER = "consent-profiles"

_KINDS: dict[str, type[Message]] = {
    "consent_granted": events_pb2.ConsentGranted,
    "consent_withdrawn": events_pb2.ConsentWithdrawn,
    "objection_recorded": events_pb2.ObjectionRecorded,
    "restriction_placed": events_pb2.RestrictionPlaced,
    "restriction_lifted": events_pb2.RestrictionLifted,
    "consents_merged": events_pb2.ConsentsMerged,
    "consents_split": events_pb2.ConsentsSplit,
    "fence_raised": events_pb2.FenceRaised,
    "purpose_changed": events_pb2.PurposeChanged,
}


@dataclass(frozen=True)
class Published:
    """An event as the stream has it.

    Attributes:
        name: Its name.
        id: Its event id.
        subject: Where it was published.
        message: The whole of it.
        change: What a gate reads of it, without looking at its kind.
    """

    name: str
    id: str
    subject: str
    message: Any
    change: ledger_pb2.LedgerChange


class EventLog:
    """What the service has published, read by the observer; it remembers how far it has read."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._read_up_to = 0
        self._events: list[Published] = []

    async def read(self) -> list[Published]:
        """Return all events so far."""
        async with self._broker.api() as api:
            last = (await api.stream_info(STREAM))["state"]["last_seq"]
            while self._read_up_to < last:
                self._read_up_to += 1
                stored = await api.get(STREAM, self._read_up_to)
                if stored is not None:
                    self._events.append(_published(stored.subject, stored.headers["ce-id"], stored.data))
        return self._events

    async def until(self, position: int) -> dict[int, Published]:
        """Wait until every position up to this one has been published, and return the events by position."""

        async def complete() -> dict[int, Published] | None:
            found = {event.change.position: event for event in await self.read()}
            return found if set(range(1, position + 1)) <= set(found) else None

        return await eventually(complete, timeout_s=30)

    async def answer_to(self, identity_event_id: str) -> Published:
        """Wait for the consents_merged or consents_split that follows an event of identity."""

        async def found() -> Published | None:
            answers = [
                event
                for event in await self.read()
                if event.name in ("consents_merged", "consents_split")
                and event.message.identity_event_id == identity_event_id
            ]
            return answers[0] if answers else None

        return await eventually(found, timeout_s=30)


def _published(subject: str, event_id: str, data: bytes) -> Published:
    name = subject.split(".")[3]
    message = _KINDS[name]()
    message.ParseFromString(data)
    change = events_pb2.PositionedEvent.FromString(data).change
    return Published(name, event_id, subject, message, change)


@asynccontextmanager
async def dead_letters(installation: Installation) -> AsyncIterator[DeadLetters]:
    """Give the dead letters of the installation, as the command `rapport dlq` has them."""
    wire = await Wire.open(installation.nats_settings("cli"), user="cli")
    try:
        yield DeadLetters(JetStreamApi(wire), prefix="RAPPORT")
    finally:
        wire.close()


class Identity:
    """Publishes as the user "identity", who may do so alone."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    async def publish(self, *events: Event) -> list[int]:
        """Publish events, each as often as it is named, and return their sequences."""
        wire = await Wire.open(self._installation.nats_settings("identity"), user="identity")
        try:
            api = JetStreamApi(wire)
            return [await api.publish(event.subject, event.payload(), event.headers()) for event in events]
        finally:
            wire.close()

    async def publish_raw(self, event: Event, payload: bytes) -> int:
        """Publish an event whose payload is something else."""
        wire = await Wire.open(self._installation.nats_settings("identity"), user="identity")
        try:
            return await JetStreamApi(wire).publish(event.subject, payload, event.headers())
        finally:
            wire.close()


def merge(survivor: str, *absorbed: str, version: int = 2) -> Event:
    """profiles_merged: the survivor, with every id that now redirects to it."""
    message = identity_pb2.ProfilesMerged(survivor_id=survivor, cause=identity_pb2.RESOLUTION_CAUSE_MATCHER)
    _result(message, survivor, absorbed, version)
    return _event(message)


def split(left: str, results: dict[str, Sequence[str]], *, version: int = 3, issued: Sequence[str] = ()) -> Event:
    """profile_split: every resulting profile with the ids that redirect to it."""
    message = identity_pb2.ProfileSplit(left_profile_id=left, cause=identity_pb2.RESOLUTION_CAUSE_STEWARD)
    message.issued_ids.extend(issued)
    for profile_id, redirects in results.items():
        _result(message, profile_id, redirects, version)
    return _event(message)


def _result(message: Any, profile_id: str, redirects: Sequence[str], version: int) -> None:
    profile = message.profiles.add(profile_id=profile_id, version=version)
    profile.redirect_ids.extend(redirects)
    profile.state.SetInParent()


def _event(message: Any) -> Event:
    now = datetime.now(UTC)
    message.occurred_at.FromDatetime(now)
    message.recorded_at.FromDatetime(now)
    return event_of(message, source="identity", occurred_at=now)
