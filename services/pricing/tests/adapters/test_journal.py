"""Decisions: forgotten when nobody asks for them any more and nothing keeps them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rapport_chassis.database.engine import Database
from rapport_pricing.adapters.journal import SweepDecisions, write
from rapport_pricing.app.decisions import Kept
from rapport_privacy.participant import living
from rapport_privacy.participant.holding import Subject
from rapport_privacy.participant.journal import HeldRecords, Hold
from rapport_testing.events import rows

AT = datetime(2026, 1, 2, tzinfo=UTC)


def decision(number: int, who: str = "", at: datetime = AT) -> Kept:
    return Kept(f"dec_{number}", f"quo_{number}", who, at, "epoch", 1, b"body", "{}")


async def test_decisions_are_forgotten_when_they_are_too_old_unless_a_request_or_a_hold_keeps_the_person(
    opened: Database,
) -> None:
    kept = [decision(1), decision(2, "prf_a"), decision(3, "prf_held"), decision(4, "prf_frozen")]
    async with opened.transaction() as connection:
        await write(connection, [*kept, decision(5, at=AT + timedelta(days=9))])
        held = Hold("hld_1", "LEGAL_CLAIM", None, (HeldRecords(""),))
        await living.hold(connection, Subject("req_1", ("prf_held",)), held)
        await living.freeze(connection, Subject("req_2", ("prf_frozen",)))
        assert await SweepDecisions(timedelta(days=10))(connection, AT + timedelta(days=11)) == 2
    left = await rows(opened, "SELECT decision_id FROM decisions ORDER BY decision_id")
    assert [row[0] for row in left] == ["dec_3", "dec_4", "dec_5"]
