"""The inbox forgets an entry only once its event cannot come again."""

from datetime import UTC, datetime, timedelta

from rapport_chassis.database.engine import Database
from rapport_chassis.events import inbox


async def test_old_entries_are_forgotten_and_young_ones_kept(service_database: Database) -> None:
    now = datetime.now(UTC)
    async with service_database.transaction() as connection:
        assert await inbox.claim(connection, "reader", "evt_young")
        await connection.execute(
            "INSERT INTO inbox (consumer, event_id, received_at) VALUES ('reader', 'evt_old', %s)",
            [now - inbox.KEPT - timedelta(minutes=1)],
        )
        assert await inbox.sweep(connection, now) == 1
        assert not await inbox.claim(connection, "reader", "evt_young")
        assert await inbox.claim(connection, "reader", "evt_old")
