"""A real service for the tests of a worker, on servers of its own; tests keep apart by the people they are about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from consent_desk import Desk, furnish, open_desk, start_installation
from consent_rig import Rig, running_rig
from rapport_testing.installation import Installation
from rapport_testing.prove import Scale


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Servers and a running service, for tests that stop neither."""
    made = start_installation(tmp_path_factory.mktemp("consent"))
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
async def desk(installation: Installation) -> AsyncIterator[Desk]:
    """Where the service is called from."""
    async with open_desk(installation) as made:
        yield made


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory, scale: Scale) -> Iterator[Rig]:
    """Servers and a service that tests may stop and kill."""
    with running_rig(tmp_path_factory.mktemp("rig"), durable=scale.is_full) as made:
        yield made
