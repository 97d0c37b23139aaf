"""A real service for the tests of a worker, on servers of its own; tests keep apart by the people they are about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from consent_desk import Desk, furnish, open_desk, start_installation
from consent_privacy_desk import PrivacyDesk, open_privacy_desk
from consent_privacy_rig import PrivacyRig, running_privacy_rig
from consent_rig import Rig, running_rig
from rapport_testing.installation import Installation
from rapport_testing.prove import Scale

ARCHIVE = {"name": "archive", "kind": "MANUAL", "owner": "records office", "instruction": "Look in the cellar."}


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Servers and a running service, for tests that stop neither."""
    made = start_installation(tmp_path_factory.mktemp("consent"))
    with made.serving():
        furnish(made)
        yield made


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


@pytest.fixture(scope="session")
def privacy_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivacyRig]:
    """A service whose participants are there, and one that people answer for; tests may kill the service."""
    with running_privacy_rig(tmp_path_factory.mktemp("privacy"), more=[ARCHIVE]) as made:
        yield made


@pytest.fixture
async def privacy_desk(privacy_rig: PrivacyRig) -> AsyncIterator[PrivacyDesk]:
    """Where privacy requests are made and decided."""
    async with open_privacy_desk(privacy_rig) as made:
        yield made
