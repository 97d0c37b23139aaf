"""A process that tells of anniversaries by a clock that a test moves, and people whose days come round."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rapport.identity.v1 import events_pb2, record_pb2
from rapport_chassis.database.engine import Database
from rapport_identity.adapters.anniversaries import AnniversaryRounds
from rapport_identity.adapters.zones import zones_of
from rapport_identity.app.anniversaries import TellAnniversaries
from rapport_testing.clock import TestClock
from rapport_testing.ledger_gate import LedgerGate
from rapport_testing.ledger_model import LedgerModel

OFFERS = "offers.personal"
BIRTHDAY, CUSTOMER = events_pb2.ANNIVERSARY_KIND_BIRTHDAY, events_pb2.ANNIVERSARY_KIND_CUSTOMER
NOON = datetime(2030, 5, 4, 12, tzinfo=UTC)


def person(
    number: int, born: str = "1981-05-04", seen: str = "2028-11-20", *, name: str = "Elizabeth Nakamura", **fields: Any
) -> record_pb2.Record:
    """A record of somebody who was born on a day, and seen on another."""
    fields = {"market": "GB", **fields}
    message = record_pb2.Record(key=record_pb2.RecordKey(source="crm", source_record_id=str(number)), **fields)
    given, surname = name.split()
    message.person.names.add(given_names=given, surname=surname)
    mail = f"{name.replace(' ', '.').lower()}@posteo.net"
    message.person.identifiers.add(kind=events_pb2.IDENTIFIER_KIND_EMAIL, value=mail)
    if born:
        date = message.person.birth_date
        date.year, date.month, date.day = map(int, born.split("-"))
    message.occurred_at.FromDatetime(datetime.fromisoformat(seen))
    return message


class Teller:
    """A process that tells of anniversaries by a clock that the test moves, with a gate that follows a ledger."""

    def __init__(self, process: Any, opened: Database, clock: TestClock, ledger: LedgerModel) -> None:
        self.process, self.clock, self.ledger, self._opened = process, clock, ledger, opened
        self._followed = LedgerGate(ledger, clock)
        self.tell = TellAnniversaries(
            process.partition,
            AnniversaryRounds(),
            self._followed.gate,
            purpose_id=OFFERS,
            zones=zones_of,
            clock=clock,
            every_s=60.0,
        )

    def follow(self) -> None:
        """Have the gate know what people decided."""
        self._followed.follow()

    async def look(self, *, fresh: bool = True) -> None:
        """Have a whole look at everybody after so long that it is time again."""
        self.clock.advance(60.0)
        if fresh:
            self.follow()
        while await self.tell.step():
            pass

    async def told(self) -> list[tuple[str, int, int]]:
        """Return profile, kind and version of what was told, each event having an id of its own."""
        async with self._opened.transaction() as connection:
            rows = await connection.execute(
                "SELECT event_id, payload FROM outbox WHERE type LIKE '%%anniversary_due' ORDER BY seq"
            )
            found = [(event_id, events_pb2.AnniversaryDue.FromString(data)) for event_id, data in await rows.fetchall()]
        assert len({event_id for event_id, _ in found}) == len(found)
        return [(each.profile_id, each.kind, each.version) for _, each in found]
