"""What the tests of events share: a broker with the declared streams."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rapport_chassis.events import topology
from rapport_chassis.settings import NatsSettings
from rapport_chassis.telemetry.logs import configure_logging
from rapport_chassis.telemetry.setup import Telemetry
from rapport_testing.events import Broker
from rapport_testing.nats import NatsServer

DECLARED = Path(__file__).parents[4] / "deploy" / "nats"


@pytest.fixture(autouse=True)
def logs() -> None:
    """Logs as a service writes them."""
    configure_logging("test", "0")


@pytest.fixture(scope="session")
def declared() -> Path:
    """Folder of the declarations."""
    return DECLARED


@pytest.fixture
async def bare_broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker without streams."""
    server = NatsServer(tmp_path / "nats")
    await asyncio.to_thread(server.start)
    yield Broker(server, NatsSettings(url=server.url), topology.load(DECLARED, max_bytes=2**28))
    await asyncio.to_thread(server.stop)


@pytest.fixture
async def broker(bare_broker: Broker) -> Broker:
    """A broker with everything that is declared."""
    await bare_broker.provision()
    return bare_broker


@pytest.fixture
def telemetry() -> Telemetry:
    """Telemetry that goes nowhere."""
    return Telemetry.off()
