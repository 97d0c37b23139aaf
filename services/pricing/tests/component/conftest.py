"""A real service for the tests of a worker, on servers of its own; tests keep apart by products and people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from pricing_alone import Alone
from pricing_desk import Desk, furnish, open_desk
from pricing_installation import PERSONAL, PricingInstallation, start_installation
from rapport_chassis.ids import new_id


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PricingInstallation]:
    """Servers and a running service, for tests that stop neither."""
    made = start_installation(tmp_path_factory.mktemp("pricing"))
    with made.serving():
        furnish(made)
        yield made


@pytest.fixture
async def desk(installation: PricingInstallation) -> AsyncIterator[Desk]:
    """Where the service is called from."""
    async with open_desk(installation) as made:
        await made.until_ready()
        yield made


@pytest.fixture
async def consented(desk: Desk, installation: PricingInstallation) -> str:
    """Somebody who wants personal prices."""
    profile_id = new_id("profile")
    await asyncio.to_thread(installation.ledger.grant, profile_id, PERSONAL)
    await desk.until_known(installation.ledger)
    return profile_id


@pytest.fixture(scope="session")
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    made = Alone(tmp_path_factory.mktemp("alone"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def alone(_alone: Alone) -> Iterator[Alone]:
    """A service that a test has to itself for its time. Those tests are one group: one worker's."""
    yield _alone
    _alone.mend()


@pytest.fixture
async def alone_desk(alone: Alone) -> AsyncIterator[Desk]:
    """Where that service is called from."""
    async with open_desk(alone.installation) as made:
        await made.until_ready()
        yield made
