"""For tests of events: a broker with what is declared, a database to look into, and events to send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rapport.consent.v1 import events_pb2 as consent
from rapport.identity.v1 import events_pb2 as identity
from rapport_chassis.database.engine import Database
from rapport_chassis.events import outbox, provision
from rapport_chassis.events.dead_letters import DeadLetter, DeadLetters
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.events.jetstream import JetStreamApi, StoredMessage
from rapport_chassis.events.topology import Topology
from rapport_chassis.events.wire import Wire
from rapport_chassis.ids import new_id
from rapport_chassis.settings import NatsSettings

from rapport_testing.nats import NatsServer
from rapport_testing.waiting import eventually

OCCURRED_AT = datetime(2030, 1, 1, 12, tzinfo=UTC)


@dataclass
class Broker:
    """A NATS server that a test has to itself, and may kill.

    Attributes:
        server: The server.
        settings: How to connect to it, as a user who may do everything.
        topology: What is declared for it.
    """

    server: NatsServer
    settings: NatsSettings
    topology: Topology

    async def provision(self) -> list[provision.Difference]:
        """Create all that is declared and return what was mended."""
        async with self.api() as api:
            return await provision.apply(api, self.topology)

    @asynccontextmanager
    async def api(self) -> AsyncIterator[JetStreamApi]:
        """Give the API of JetStream."""
        wire = await Wire.open(self.settings, user="test")
        try:
            yield JetStreamApi(wire)
        finally:
            wire.close()

    async def stored(self, stream: str) -> list[StoredMessage]:
        """Return every message of a stream, in order."""
        async with self.api() as api:
            state = (await api.stream_info(stream))["state"]
            found = [
                await api.get(stream, sequence) for sequence in range(max(state["first_seq"], 1), state["last_seq"] + 1)
            ]
        return [message for message in found if message is not None]

    async def count(self, stream: str) -> int:
        """Return how many messages a stream holds."""
        async with self.api() as api:
            return int((await api.stream_info(stream))["state"]["messages"])

    async def publish(self, *events: Event) -> list[int]:
        """Publish events as the relay of their context would, and return their sequences."""
        async with self.api() as api:
            return [await api.publish(each.subject, each.payload(), each.headers()) for each in events]

    async def settled(self, stream: str, consumer: str) -> None:
        """Wait until nothing more is expected of a consumer."""

        async def is_done() -> bool:
            async with self.api() as api:
                info = await api.consumer_info(stream, consumer)
            return bool(info["num_pending"] == info["num_ack_pending"] == 0)

        await eventually(is_done, 20, message=f"{consumer} has settled all")

    async def dead_letters(self) -> list[DeadLetter]:
        """Return what was given up."""
        async with self.api() as api:
            return await DeadLetters(api, prefix=self.settings.stream_prefix).list()


async def append(database: Database, *events: Event) -> None:
    """Write events to an outbox in a transaction of their own."""
    async with database.transaction() as connection:
        await outbox.append(connection, events)


async def rows(database: Database, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    async with database.transaction() as connection:
        return await (await connection.execute(query.encode(), values)).fetchall()


async def count(database: Database, table: str) -> int:
    """Return how many rows a table has."""
    ((found,),) = await rows(database, f"SELECT count(*) FROM {table}")  # noqa: S608 - a name from the test
    return int(found)


def granted(profile_id: str | None = None, *, position: int = 1, urgent: bool = False) -> Event:
    """Return a consent_granted, which concerns a profile."""
    message = consent.ConsentGranted(reference=new_id("ledger_event"), purpose_id="newsletter")
    message.change.position = position
    message.change.epoch = "epoch"
    message.change.named_id = message.change.current_id = profile_id or new_id("profile")
    message.change.recorded_at.FromDatetime(OCCURRED_AT)
    return event_of(message, source="consent", occurred_at=OCCURRED_AT, urgent=urgent)


def fence_raised(profile_id: str) -> Event:
    """Return a fence_raised, which no erasure deletes."""
    message = consent.FenceRaised()
    message.change.position = 1
    message.change.epoch = "epoch"
    message.change.named_id = message.change.current_id = profile_id
    message.change.recorded_at.FromDatetime(OCCURRED_AT)
    return event_of(message, source="consent", occurred_at=OCCURRED_AT, urgent=True)


def profiles_merged(survivor_id: str | None = None, *absorbed: str) -> Event:
    """Return a profiles_merged of identity."""
    survivor_id = survivor_id or new_id("profile")
    message = identity.ProfilesMerged(survivor_id=survivor_id, cause=identity.RESOLUTION_CAUSE_MATCHER)
    profile = message.profiles.add(profile_id=survivor_id, version=2)
    profile.redirect_ids.extend(absorbed or [new_id("profile")])
    profile.state.SetInParent()
    message.occurred_at.FromDatetime(OCCURRED_AT)
    message.recorded_at.FromDatetime(OCCURRED_AT)
    return event_of(message, source="identity", occurred_at=OCCURRED_AT)
