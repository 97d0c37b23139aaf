"""A real service for the tests of a worker, on servers of its own; tests keep apart by the people they are about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from churn_desk import Desk, open_desk
from churn_installation import ChurnInstallation, register, start_installation


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChurnInstallation]:
    """Servers and a running service, for tests that stop neither."""
    made = start_installation(tmp_path_factory.mktemp("churn"))
    with made.serving():
        yield made


@pytest.fixture(scope="session")
def model_id(installation: ChurnInstallation) -> str:
    """A model that serves."""

    async def promoted() -> str:
        async with open_desk(installation) as desk:
            await desk.until_ready()
            made = await register(installation)
            await desk.promote(made)
            return made

    return asyncio.run(promoted())


@pytest.fixture
async def desk(installation: ChurnInstallation) -> AsyncIterator[Desk]:
    """Where the service is called from."""
    async with open_desk(installation) as made:
        await made.until_ready()
        yield made
