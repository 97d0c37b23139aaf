"""What a replica is fed from: the service asked over the wire, and the tables as the service itself reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from consent_desk import SHOP, Desk, profile
from rapport_chassis.database.engine import Database
from rapport_consent.adapters.feed import LedgerReader
from rapport_consent.adapters.head import SharedHeads
from rapport_consent.adapters.snapshot_chunks import MOST_BYTES
from rapport_privacy.ports import ChangeSource, HeadSource, SnapshotSource
from rapport_privacy.sources import RemoteLedger
from rapport_testing.ledger_sources import LedgerSourcesSuite, SuppliedLedger


@dataclass
class WrittenLedger:
    """A ledger read through the sources under test and written to by those who may."""

    desk: Desk
    heads: HeadSource
    changes: ChangeSource
    snapshots: SnapshotSource
    person: str = field(default_factory=profile)

    async def write(self) -> None:
        person = profile()
        await self.desk.answer(person, "yes news north", "no stats")
        await self.desk.withdraw(person, "news")

    async def erase(self) -> None:
        await self.desk.answer(self.person, "yes promo")
        await self.desk.fence(self.person)


class TestRemoteLedger(LedgerSourcesSuite):
    """The suite, over gRPC."""

    @pytest.fixture
    async def ledger(self, desk: Desk) -> AsyncIterator[SuppliedLedger]:
        client = desk.installation.client(SHOP)
        remote = RemoteLedger(client)
        yield WrittenLedger(desk, remote, remote, remote)
        await client.close()


class TestLedgerReader(LedgerSourcesSuite):
    """The suite, on the tables; in messages of the usual size, and so small that most hold one thing."""

    @pytest.fixture(params=[MOST_BYTES, 300], ids=["large", "small"])
    async def ledger(self, desk: Desk, request: pytest.FixtureRequest) -> AsyncIterator[SuppliedLedger]:
        database = Database(desk.installation.database_settings(), service="consent")
        await database.open()
        reader = LedgerReader(database, most_bytes=request.param)
        yield WrittenLedger(desk, SharedHeads(database), reader, reader)
        await database.close()
