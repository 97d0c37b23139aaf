"""The schema is what the models say, and the role that serves can do what it should and nothing more."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import rapport_notification
from psycopg import errors
from rapport_chassis.database.engine import Database
from rapport_chassis.database.migrate import check_drift, pending
from rapport_chassis.database.migration_lint import lint_migrations
from rapport_chassis.settings import DatabaseSettings
from rapport_notification.adapters.edge_tables import EndpointTable
from rapport_notification.adapters.privacy_holding import NotificationHolding
from rapport_notification.adapters.sealing import Sealer
from rapport_notification.adapters.sweeping import sweep
from rapport_notification.adapters.tables import Base
from rapport_notification.app.times import micros_of
from rapport_privacy.participant.retention import Retention
from rapport_testing.clock import TestClock

MIGRATIONS = Path(rapport_notification.__file__).parent / "migrations"


def test_migrations_make_what_the_models_declare(settings: DatabaseSettings) -> None:
    assert EndpointTable.__table__.metadata is Base.metadata  # type: ignore[attr-defined] # of a table
    assert check_drift(settings, Base.metadata) == []
    assert pending(settings, MIGRATIONS) == []
    assert lint_migrations(MIGRATIONS) == []


def test_decisions_are_only_added_to_and_tables_are_the_owners(settings: DatabaseSettings) -> None:
    with psycopg.connect(settings.dsn.get_secret_value(), autocommit=True) as connection:
        for statement in (
            "CREATE TABLE mine (a int)",
            "DROP TABLE notifications",
            "TRUNCATE notifications",
            "UPDATE receipts SET canonical = ''",
            "SET ROLE rapport_notification_owner",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())


async def test_what_lay_long_enough_is_forgotten_and_what_is_still_open_is_not(settings: DatabaseSettings) -> None:
    database, holding = Database(settings, service="notification"), NotificationHolding(Sealer([bytes(32)]))
    await database.open()
    try:
        now = datetime(2030, 1, 1, tzinfo=UTC)
        wish = b"INSERT INTO unsubscribes VALUES (%s, '', 'prf_1', 1, '{}', '', 1, 0, %s, 0, 0, 0)"
        count = b"INSERT INTO cap_counts VALUES (%s, 'daily', '2020-01-01', 1)"
        async with database.transaction() as connection:
            for number, state in enumerate(("open", "recorded")):
                await connection.execute(wish, (UUID(int=number), state))
            for at_us in (0, micros_of(now)):
                values = (f"ntf_{at_us}", at_us)
                await connection.execute(b"INSERT INTO feedback VALUES (%s, 1, 'soft', 1, '', %s)", values)
            for profile_id in ("prf_1", "prf_frozen"):
                await connection.execute(count, (profile_id,))
            await connection.execute(b"INSERT INTO privacy_freezes VALUES ('prf_frozen', 'req_1', now())")
        async with database.transaction() as connection:
            assert await sweep(connection, now) == 1
            assert await sweep(connection, now) == 0
        retention = Retention(holding, database, TestClock(now))
        assert await retention.sweep(now) == {"cap_counts": 1, "unsubscribes": 1}
        assert await retention.sweep(now) == {}
        async with database.transaction() as connection:
            left = await (await connection.execute(b"SELECT state FROM unsubscribes")).fetchall()
            assert left == [("open",)]
    finally:
        await database.close()
