"""The schema is what the model says; the two roles can do what they should and nothing more."""

from pathlib import Path

import psycopg
import pytest
from psycopg import errors
from rapport_chassis.database.migrate import check_drift, pending
from rapport_chassis.database.tables import chassis_tables, service_base
from rapport_chassis.settings import DatabaseSettings
from sqlmodel import Field

MIGRATIONS = Path(__file__).parents[1] / "migrations"


def test_the_frozen_ddl_makes_what_the_model_declares(database_settings: DatabaseSettings) -> None:
    base = service_base("sample")
    chassis_tables(base)
    assert check_drift(database_settings, base.metadata) == []
    assert pending(database_settings, MIGRATIONS) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE outbox ADD COLUMN extra text", "remove_column outbox extra"),
        ("ALTER TABLE outbox ALTER COLUMN subject DROP NOT NULL", "modify_nullable outbox subject"),
        ("ALTER TABLE inbox ALTER COLUMN consumer TYPE varchar(9)", "modify_type inbox consumer"),
        ("ALTER TABLE outbox ALTER COLUMN urgent SET DEFAULT true", "modify_default outbox urgent"),
        ("DROP INDEX ix_outbox_urgent", "add_index"),
        ("DROP TABLE requests", "add_table requests"),
        ("CREATE TABLE stray (a int)", "remove_table stray"),
        ("ALTER TABLE audit DROP CONSTRAINT ck_audit_outcome", "ck_audit_outcome"),
    ],
)
def test_drift_between_schema_and_model_is_named(database_settings: DatabaseSettings, change: str, told: str) -> None:
    base = service_base("sample")
    chassis_tables(base)
    assert database_settings.owner_dsn is not None
    with psycopg.connect(database_settings.owner_dsn.get_secret_value()) as connection:
        connection.execute(change.encode())
    found = check_drift(database_settings, base.metadata)
    assert any(told in line for line in found), found


def test_tables_of_two_services_may_have_the_same_name() -> None:
    first, second = service_base("first"), service_base("second")
    for base in (first, second):
        chassis_tables(base)

    class Thing(first, table=True):  # type: ignore[misc, valid-type, call-arg]
        id: int = Field(primary_key=True)

    class OtherThing(second, table=True):  # type: ignore[misc, valid-type, call-arg]
        __tablename__ = "thing"
        id: str = Field(primary_key=True)

    assert first.metadata.tables["outbox"] is not second.metadata.tables["outbox"]
    assert first.metadata.tables["thing"].c.id.type.python_type is int
    assert second.metadata.tables["thing"].c.id.type is not first.metadata.tables["thing"].c.id.type
    assert "thing" not in service_base("third").metadata.tables


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (a int)",
        "CREATE TEMP TABLE mine (a int)",
        "CREATE SCHEMA mine",
        "ALTER TABLE outbox ADD COLUMN mine int",
        "DROP TABLE outbox",
        "CREATE INDEX mine ON outbox (subject)",
        "TRUNCATE outbox",
        "UPDATE audit SET actor = 'me'",
        "DELETE FROM audit",
        "DELETE FROM audit_head",
        "UPDATE authored_versions SET body = 'x'",
        "DELETE FROM authored_versions",
        "UPDATE requests SET answer = 'x'",
        "UPDATE alembic_version SET version_num = '0000'",
    ],
)
def test_the_runtime_role_is_refused(database_settings: DatabaseSettings, statement: str) -> None:
    with (
        psycopg.connect(database_settings.dsn.get_secret_value()) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_a_state_outside_the_vocabulary_is_refused(database_settings: DatabaseSettings) -> None:
    with (
        psycopg.connect(database_settings.dsn.get_secret_value()) as connection,
        pytest.raises(errors.CheckViolation),
    ):
        connection.execute(
            "INSERT INTO authored_versions (kind, id, version, state, body, created_at, created_by)"
            " VALUES ('purpose', 'p', 1, 'published', '', now(), 'x')"
        )
