"""A real service for the tests of a worker, on servers of its own; tests keep apart by products and people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from pricing_desk import Desk, furnish, open_desk
from pricing_installation import PricingInstallation, start_installation


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PricingInstallation]:
    """Servers and a running service, for tests that stop neither."""
    made = start_installation(tmp_path_factory.mktemp("pricing"))
    service = made.process()
    try:
        service.start()
        furnish(made)
        yield made
        service.terminate()
    finally:
        service.kill()
        made.stop()


@pytest.fixture
async def desk(installation: PricingInstallation) -> AsyncIterator[Desk]:
    """Where the service is called from."""
    async with open_desk(installation) as made:
        await made.until_ready()
        yield made
