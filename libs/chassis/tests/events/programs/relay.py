"""A relay as a process of its own, to be killed: identity's outbox to identity's stream."""

import asyncio
import os
import sys

from pydantic import SecretStr
from rapport_chassis.database.engine import Database
from rapport_chassis.events.relay import Relay
from rapport_chassis.failpoints import arm_from_environment
from rapport_chassis.settings import DatabaseSettings, NatsSettings
from rapport_chassis.telemetry.setup import Telemetry


async def main() -> None:
    arm_from_environment("test")
    database = Database(DatabaseSettings(dsn=SecretStr(os.environ["RAPPORT_TEST_DSN"])), service="identity")
    await database.open()
    relay = Relay(
        "identity",
        database=database,
        nats=NatsSettings(url=os.environ["RAPPORT_TEST_NATS"]),
        telemetry=Telemetry.off(),
        batch=int(os.environ["RAPPORT_TEST_BATCH"]),
    )
    await relay.start()
    sys.stdout.write("running\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


asyncio.run(main())
