"""What was kept long enough goes, round after round, also after the database was away."""

from datetime import UTC, datetime
from uuid import uuid4

from rapport_chassis.database.engine import Connection, Database
from rapport_chassis.database.housekeeping import Housekeeping
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.idempotency import KEPT, RequestLog
from rapport_testing.clock import TestClock
from rapport_testing.waiting import eventually


async def test_a_round_sweeps_until_nothing_is_left_and_the_next_one_begins_later(
    service_database: Database, test_clock: TestClock
) -> None:
    test_clock.set(datetime.now(UTC))
    calls: list[str] = []

    async def answers_kept() -> int:
        async with service_database.transaction() as connection:
            row = await (await connection.execute("SELECT count(*) FROM requests")).fetchone()
        assert row is not None
        return int(row[0])

    async def unready(connection: Connection, now: datetime) -> int:
        calls.append("unready")
        raise CHASSIS_ERRORS.error("NOT_READY", "away")

    async def three_times(connection: Connection, now: datetime) -> int:
        calls.append("busy")
        return calls.count("busy") % 3

    async with service_database.transaction() as connection:
        await RequestLog().finish(
            connection, caller="c", method="m", request_id=str(uuid4()), body=b"", answer=b"answer"
        )
    house = Housekeeping(service_database, [unready, three_times, RequestLog().sweep], clock=test_clock)
    await house.start()
    try:
        await eventually(lambda: test_clock.sleepers == 1)
        assert calls == ["unready", "busy", "busy", "busy"]
        assert await answers_kept() == 1
        test_clock.advance(KEPT.total_seconds() + 1)
        await eventually(lambda: test_clock.sleepers == 1 and len(calls) == 8)
        assert await answers_kept() == 0
    finally:
        await house.stop()
