"""A consumer as a process of its own, to be killed: each event it handles leaves one row in `effects`."""

import asyncio
import os
import sys
from collections.abc import Sequence

from pydantic import SecretStr
from rapport.identity.v1 import events_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.events.consumer import Consumer
from rapport_chassis.events.envelope import Received
from rapport_chassis.events.grouping import Together
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.failpoints import arm_from_environment
from rapport_chassis.settings import DatabaseSettings, NatsSettings
from rapport_chassis.telemetry.setup import Telemetry


async def effect(event: Received, connection: Connection) -> None:
    await connection.execute("INSERT INTO effects VALUES (%s, %s)", [event.id, event.sequence])


async def effects(events: Sequence[Received], connection: Connection) -> None:
    for each in events:
        await effect(each, connection)


async def all_of_them(events: Sequence[Received], _: Connection) -> Sequence[Received]:
    return events


async def main() -> None:
    arm_from_environment("test")
    database = Database(DatabaseSettings(dsn=SecretStr(os.environ["RAPPORT_TEST_DSN"])), service="consent")
    await database.open()
    nats = NatsConnection(NatsSettings(url=os.environ["RAPPORT_TEST_NATS"]), user="consent")
    await nats.start()
    consumer = Consumer(
        "consent-profiles",
        "identity",
        Together(effects, all_of_them) if os.environ["RAPPORT_TEST_TOGETHER"] else effect,
        context="consent",
        events=[events_pb2.ProfilesMerged, events_pb2.ProfileSplit],
        nats=nats,
        database=database,
        telemetry=Telemetry.off(),
        release="test",
        batch=50,
    )
    await consumer.start()
    sys.stdout.write("running\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


asyncio.run(main())
