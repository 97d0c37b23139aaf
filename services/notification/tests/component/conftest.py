"""A real service for the tests of a worker, on servers of its own; tests keep apart by people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from notification_desk import Desk, furnish, open_desk
from notification_installation import NotificationInstallation, start_installation


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotificationInstallation]:
    """Servers and a running service, for tests that stop neither."""
    made = start_installation(tmp_path_factory.mktemp("notification"))
    with made.serving():
        furnish(made)
        yield made


@pytest.fixture
async def desk(installation: NotificationInstallation) -> AsyncIterator[Desk]:
    """Where the service is called from."""
    async with open_desk(installation) as made:
        await made.until_ready()
        yield made
