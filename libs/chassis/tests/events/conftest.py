"""What the tests of events share: a broker with the declared streams."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from rapport.identity.v1 import events_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, create_service_database
from rapport_chassis.events import topology
from rapport_chassis.events.consumer import Consumer
from rapport_chassis.events.grouping import Together
from rapport_chassis.events.intake import Handler
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.settings import DatabaseSettings, NatsSettings
from rapport_chassis.telemetry.logs import configure_logging
from rapport_chassis.telemetry.setup import Telemetry
from rapport_testing.events import Broker
from rapport_testing.nats import NatsServer
from rapport_testing.postgres import PostgresServer

MIGRATIONS = Path(__file__).parents[1] / "migrations"


@pytest.fixture(autouse=True)
def logs() -> None:
    """Logs as a service writes them."""
    configure_logging("test", "0")


@pytest.fixture(scope="session")
def declared() -> Path:
    """Folder of the declarations."""
    return topology.DECLARED


@pytest.fixture(scope="session")
def everything() -> topology.Topology:
    """All that is declared."""
    return topology.load(topology.DECLARED, max_bytes=2**28)


@pytest.fixture
async def bare_broker(tmp_path: Path, everything: topology.Topology) -> AsyncIterator[Broker]:
    """A broker without streams."""
    server = NatsServer(tmp_path / "nats")
    await asyncio.to_thread(server.start)
    yield Broker(server, NatsSettings(url=server.url), everything)
    await asyncio.to_thread(server.kill)


@pytest.fixture
async def broker(bare_broker: Broker, everything: topology.Topology) -> Broker:
    """A broker with the streams that are declared, and with the consumers of consent."""
    consumers = tuple(each for each in everything.consumers if each.service == "consent")
    made = dataclasses.replace(bare_broker, topology=dataclasses.replace(everything, consumers=consumers))
    await made.provision()
    return made


@pytest.fixture
def telemetry() -> Telemetry:
    """Telemetry that goes nowhere."""
    return Telemetry.off()


@pytest.fixture
async def killable(tmp_path: Path) -> AsyncIterator[tuple[PostgresServer, DatabaseSettings, Database]]:
    """A PostgreSQL of this test alone, with the tables of a service."""
    server = PostgresServer(tmp_path / "pg", durable=False)
    await asyncio.to_thread(server.start)
    names = await asyncio.to_thread(create_service_database, server.dsn(), "sample", RolePasswords())
    settings = DatabaseSettings(
        dsn=SecretStr(server.dsn(names.name, names.runtime_role)),
        owner_dsn=SecretStr(server.dsn(names.name, names.owner_role)),
    )
    await asyncio.to_thread(upgrade, settings, MIGRATIONS)
    await asyncio.to_thread(
        server.execute,
        f"CREATE TABLE effects (event_id text, sequence bigint); GRANT ALL ON effects TO {names.runtime_role}",
        names.name,
    )
    database = Database(settings, service="test")
    await database.open()
    yield server, settings, database
    await database.close()
    await asyncio.to_thread(server.stop, "immediate")


@pytest.fixture
async def connection(broker: Broker) -> AsyncIterator[NatsConnection]:
    """A connection that was begun."""
    nats = NatsConnection(broker.settings, user="consent")
    await nats.start()
    yield nats
    await nats.stop()


@pytest.fixture
async def take_in(
    service_database: Database, connection: NatsConnection, telemetry: Telemetry
) -> AsyncIterator[Callable[..., Awaitable[Consumer]]]:
    """Starts a consumer with a handler, and stops it in the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(handler: Handler | Together, **options: Any) -> Consumer:
            usual: dict[str, Any] = {
                "context": "consent",
                "events": [events_pb2.ProfilesMerged, events_pb2.ProfileSplit],
                "nats": connection,
                "database": service_database,
                "telemetry": telemetry,
                "release": "1.2.3",
                "nak_delays_s": (0.05,),
            }
            consumer = Consumer("consent-profiles", "identity", handler, **usual | options)
            await consumer.start()
            stack.push_async_callback(consumer.stop)
            return consumer

        yield start
