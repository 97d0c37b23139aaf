"""A reader of consent's events such as any service has: a durable consumer with an inbox, effects in a database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consent_desk import CONSENT
from consent_events import STREAM
from rapport.consent.v1 import events_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.pool import Connection
from rapport_chassis.database.roles import RolePasswords, create_service_database
from rapport_chassis.events.consumer import Consumer
from rapport_chassis.events.envelope import Received
from rapport_chassis.events.names import retry_subject
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.settings import DatabaseSettings
from rapport_chassis.telemetry.setup import Telemetry
from rapport_testing.installation import OBSERVER, Installation
from rapport_testing.waiting import eventually

_NAME = "observer-consents"
_EVENTS = (events_pb2.ConsentGranted, events_pb2.ConsentWithdrawn)
_IMPATIENT = {"ack_policy": "explicit", "ack_wait": 10**9, "max_deliver": 1000, "max_ack_pending": 1000}


class Reader:
    """What the reader has in its database: a row for each effect."""

    def __init__(self, installation: Installation, database: str) -> None:
        self._installation = installation
        self._database = database

    def effects(self) -> list[tuple[str, int]]:
        """Return event id and position of each effect, in order of position."""
        found = self._installation.postgres.execute("SELECT event_id, position FROM effects ORDER BY 2", self._database)
        return [(str(event_id), int(str(position))) for event_id, position in found]

    async def until(self, positions: set[int]) -> list[tuple[str, int]]:
        """Wait until each of these positions has had its effect, and return all effects."""

        def complete() -> list[tuple[str, int]] | None:
            effects = self.effects()
            return effects if positions <= {position for _, position in effects} else None

        return await eventually(complete, timeout_s=60, interval_s=0.2)


def make_reader(installation: Installation) -> DatabaseSettings:
    """Create the reader's database; its tables for the inbox are those that every service has."""
    names = create_service_database(installation.postgres.dsn(), "reader", RolePasswords())
    settings = DatabaseSettings.model_validate(
        {
            "dsn": installation.postgres.dsn(names.name, names.runtime_role),
            "owner_dsn": installation.postgres.dsn(names.name, names.owner_role),
        }
    )
    upgrade(settings, CONSENT.migrations)
    installation.postgres.execute(
        f"CREATE TABLE effects (event_id text, position bigint); GRANT INSERT ON effects TO {names.runtime_role}",
        names.name,
    )
    return settings


@asynccontextmanager
async def running_reader(installation: Installation, settings: DatabaseSettings) -> AsyncIterator[Reader]:
    """Let the reader read from the first event on."""
    subjects = [f"rapport.consent.v1.{name}.*" for name in ("consent_granted", "consent_withdrawn")]
    sources = {STREAM: subjects, "RAPPORT_RETRY": [retry_subject(OBSERVER, _NAME)]}
    async with installation.broker().api() as api:
        for stream, filters in sources.items():
            config = {**_IMPATIENT, "durable_name": _NAME, "name": _NAME, "filter_subjects": filters}
            await api.call(f"CONSUMER.DURABLE.CREATE.{stream}.{_NAME}", {"stream_name": stream, "config": config})
    nats = NatsConnection(installation.nats_settings(OBSERVER), user=OBSERVER)
    database = Database(settings, service="reader")

    async def effect(event: Received, connection: Connection) -> None:
        change = events_pb2.PositionedEvent.FromString(event.data).change
        await connection.execute("INSERT INTO effects VALUES (%s, %s)", (event.id, change.position))

    consumer = Consumer(
        _NAME,
        "consent",
        effect,
        context=OBSERVER,
        events=_EVENTS,
        nats=nats,
        database=database,
        telemetry=Telemetry.off(),
        release="test",
        max_failures=10_000,
        nak_delays_s=[0.5],
    )
    await database.open()
    await nats.start()
    await consumer.start()
    try:
        yield Reader(installation, "rapport_reader")
    finally:
        await consumer.stop()
        await nats.stop()
        await database.close()
