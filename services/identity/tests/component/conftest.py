"""A real service for the tests of a worker, on servers of its own; tests keep apart by the people they are about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from identity_desk import Desk, IdentityInstallation, open_desk, start_installation


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityInstallation]:
    """Servers and a running service, for tests that stop neither."""
    made = start_installation(tmp_path_factory.mktemp("identity"))
    with made.serving():
        yield made


@pytest.fixture
async def desk(installation: IdentityInstallation) -> AsyncIterator[Desk]:
    """Where the service is called from."""
    async with open_desk(installation) as made:
        await made.until_serving("api")
        yield made
