"""Migrations run once, in order, one runner at a time; what would hurt a running service is found before."""

import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import errors
from rapport_chassis.database.migrate import check_drift, draft, pending, upgrade
from rapport_chassis.database.migration_files import MigrationError, read_migrations
from rapport_chassis.database.migration_lint import lint_migrations, lint_sql
from rapport_chassis.database.tables import service_base
from rapport_chassis.settings import DatabaseSettings
from rapport_testing.waiting import eventually_sync
from sqlalchemy.exc import OperationalError
from sqlmodel import Field

WriteMigration = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> WriteMigration:
    """Write a migration of one statement."""

    def write_one(name: str, sql: str = "SELECT 1", *, down: str | None = None, revision: str | None = None) -> Path:
        number = name[:4]
        after = down if down is not None else (f"{int(number) - 1:04}" if number > "0001" else None)
        path = tmp_path / f"{name}.py"
        path.write_text(
            f"from alembic import op\nrevision = {revision or number!r}\ndown_revision = {after!r}\n"
            f"def upgrade() -> None:\n    op.execute({sql!r})\n"
        )
        return path

    return write_one


def _owner(settings: DatabaseSettings) -> str:
    assert settings.owner_dsn is not None
    return settings.owner_dsn.get_secret_value()


def test_migrations_run_in_order_and_once(
    empty_database_settings: DatabaseSettings, write: WriteMigration, tmp_path: Path
) -> None:
    write("0001_expand_thing", "CREATE TABLE thing (a int)")
    write("0002_expand_thing_more", "ALTER TABLE thing ADD COLUMN b int")
    assert pending(empty_database_settings, tmp_path) == ["0001_expand_thing", "0002_expand_thing_more"]
    assert upgrade(empty_database_settings, tmp_path) == ["0001_expand_thing", "0002_expand_thing_more"]
    assert upgrade(empty_database_settings, tmp_path) == []
    write("0003_contract_thing", "ALTER TABLE thing DROP COLUMN a")
    assert upgrade(empty_database_settings, tmp_path) == ["0003_contract_thing"]
    assert pending(empty_database_settings, tmp_path) == []


def test_a_failed_migration_leaves_those_before_it(
    empty_database_settings: DatabaseSettings, write: WriteMigration, tmp_path: Path
) -> None:
    write("0001_expand_thing", "CREATE TABLE thing (a int)")
    write("0002_expand_more", "CREATE TABLE more (a int); SELECT 1 / 0")
    with pytest.raises(Exception, match="division by zero"):
        upgrade(empty_database_settings, tmp_path)
    assert pending(empty_database_settings, tmp_path) == ["0002_expand_more"]
    with psycopg.connect(_owner(empty_database_settings)) as connection:
        assert connection.execute("SELECT to_regclass('thing'), to_regclass('more')").fetchone() == ("thing", None)


def test_of_two_runners_one_works_and_the_other_finds_nothing_to_do(
    empty_database_settings: DatabaseSettings, write: WriteMigration, tmp_path: Path
) -> None:
    write("0001_expand_thing", "CREATE TABLE thing (a int)")
    write("0002_expand_held", "SELECT pg_advisory_xact_lock(7)")
    done: list[list[str]] = []
    runners = [
        threading.Thread(target=lambda: done.append(upgrade(empty_database_settings, tmp_path))) for _ in range(2)
    ]
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted"
    with psycopg.connect(_owner(empty_database_settings), autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(7)")
        for runner in runners:
            runner.start()
        eventually_sync(lambda: gate.execute(waiting).fetchone() == (1,))
        assert done == []
        gate.execute("SELECT pg_advisory_unlock(7)")
        for runner in runners:
            runner.join()
    assert sorted(done) == [[], ["0001_expand_thing", "0002_expand_held"]]


def test_a_runner_gives_up_on_one_that_does_not_finish(
    empty_database_settings: DatabaseSettings, write: WriteMigration, tmp_path: Path
) -> None:
    write("0001_expand_thing", "CREATE TABLE thing (a int)")
    with psycopg.connect(_owner(empty_database_settings), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('rapport:migrations', 0))")
        with pytest.raises(MigrationError, match="did not finish"):
            upgrade(empty_database_settings, tmp_path, lock_wait_s=0.1)
    assert upgrade(empty_database_settings, tmp_path) == ["0001_expand_thing"]


def test_a_migration_does_not_wait_longer_than_four_seconds_for_a_lock(
    empty_database_settings: DatabaseSettings, write: WriteMigration, tmp_path: Path
) -> None:
    write("0001_expand_thing", "CREATE TABLE thing (a int)")
    upgrade(empty_database_settings, tmp_path)
    write("0002_expand_more", "ALTER TABLE thing ADD COLUMN b int")
    with psycopg.connect(_owner(empty_database_settings)) as reader:
        reader.execute("SELECT * FROM thing")
        with pytest.raises(OperationalError) as caught:
            upgrade(empty_database_settings, tmp_path)
    assert isinstance(caught.value.orig, errors.LockNotAvailable)


def test_without_an_owner_nothing_is_migrated(empty_database_settings: DatabaseSettings, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="owner_dsn"):
        upgrade(empty_database_settings.model_copy(update={"owner_dsn": None}), tmp_path)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([("0001_thing", {})], "is not called"),
        ([("0001_expand_Thing", {})], "is not called"),
        ([("0002_expand_thing", {})], "0001"),
        ([("0001_expand_a", {}), ("0003_expand_b", {})], "0003"),
        ([("0001_expand_a", {}), ("0002_expand_b", {"down": "0000"})], "0002"),
        ([("0001_expand_a", {"revision": "abc"})], "must state revision '0001'"),
        ([("0001_expand_a", {}), ("0002_expand_b", {}), ("0003_expand_c", {"down": "0001"})], "0003"),
    ],
)
def test_files_that_break_the_rule_of_names_are_refused(
    files: list[tuple[str, dict[str, str]]], told: str, write: WriteMigration, tmp_path: Path
) -> None:
    for name, options in files:
        write(name, **options)
    with pytest.raises(MigrationError, match=told):
        read_migrations(tmp_path)


def test_a_draft_holds_what_differs_and_runs(
    empty_database_settings: DatabaseSettings, write: WriteMigration, tmp_path: Path
) -> None:
    base = service_base("drafting")

    class Thing(base, table=True):  # type: ignore[misc, valid-type, call-arg]
        id: int = Field(primary_key=True)
        name: str

    write("0001_expand_nothing")
    upgrade(empty_database_settings, tmp_path)
    path = draft(empty_database_settings, tmp_path, "expand", "first_thing", base.metadata)
    assert path.name == "0002_expand_first_thing.py"
    assert "sqlmodel.sql.sqltypes" in path.read_text()
    assert upgrade(empty_database_settings, tmp_path) == ["0002_expand_first_thing"]
    assert check_drift(empty_database_settings, base.metadata) == []
    with pytest.raises(MigrationError, match="is not called"):
        draft(empty_database_settings, tmp_path, "expand", "Two Words", base.metadata)


LOCKING = [
    "CREATE INDEX ix ON thing (a)",
    "create unique index ix on only thing (a)",
    "DROP INDEX ix",
    "REINDEX TABLE thing",
    "ALTER TABLE thing ADD CONSTRAINT c CHECK (a > 0)",
    "ALTER TABLE thing ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES other (a)",
    "ALTER TABLE thing ADD CONSTRAINT c UNIQUE (a)",
    "ALTER TABLE thing ADD PRIMARY KEY (a)",
    "ALTER TABLE thing ADD COLUMN b int NOT NULL",
    "ALTER TABLE thing ADD COLUMN b int GENERATED ALWAYS AS (a * 2) STORED",
    "ALTER TABLE IF EXISTS thing ALTER COLUMN a TYPE bigint",
    "ALTER TABLE thing ALTER a SET NOT NULL",
    "ALTER TABLE thing RENAME COLUMN a TO b",
    "ALTER TABLE thing DROP COLUMN a",
    "DROP TABLE thing",
    "LOCK TABLE thing",
    "TRUNCATE thing",
    "VACUUM FULL thing",
    "UPDATE thing SET a = 1",
    "DELETE FROM thing",
]
HARMLESS = [
    "CREATE INDEX CONCURRENTLY ix ON thing (a)",
    "DROP INDEX CONCURRENTLY ix",
    "ALTER TABLE thing ADD COLUMN b int",
    "ALTER TABLE thing ADD COLUMN b int DEFAULT 0 NOT NULL",
    "ALTER TABLE thing ADD COLUMN b int NOT NULL DEFAULT 0",
    "ALTER TABLE thing ADD CONSTRAINT c CHECK (a > 0) NOT VALID",
    "ALTER TABLE thing VALIDATE CONSTRAINT c",
    "ALTER TABLE thing ADD CONSTRAINT c UNIQUE USING INDEX ix",
    "UPDATE thing SET a = 1 WHERE a = 2",
    "CREATE TABLE mine (a int); CREATE INDEX ix ON mine (a); ALTER TABLE mine ADD PRIMARY KEY (a)",
    "COMMENT ON TABLE thing IS 'DROP TABLE thing; it''s only words'",
    "-- DROP TABLE thing;\nSELECT 1",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ DELETE FROM thing; $$",
]


@pytest.mark.parametrize("statement", LOCKING)
def test_a_locking_statement_is_found(statement: str) -> None:
    assert len(lint_sql(f"SELECT 1;\n{statement};", "expand")) == 1


@pytest.mark.parametrize("statement", HARMLESS)
def test_a_harmless_statement_is_not_found(statement: str) -> None:
    assert lint_sql(statement, "expand") == []


def test_removing_is_allowed_in_a_contract_only() -> None:
    assert lint_sql("ALTER TABLE thing DROP COLUMN a; DROP TABLE other", "contract") == []
    assert lint_sql("ALTER TABLE thing RENAME TO other", "contract") != []


def test_the_findings_of_a_folder_name_the_migration(write: WriteMigration, tmp_path: Path) -> None:
    write("0001_expand_thing", "CREATE TABLE thing (a int); CREATE INDEX ix ON thing (a)")
    write("0002_expand_index", "CREATE INDEX ix2 ON thing (a)")
    write("0003_contract_thing", "DROP TABLE thing")
    assert [(found.migration, found.statement) for found in lint_migrations(tmp_path)] == [
        ("0002_expand_index", "CREATE INDEX ix2 ON thing (a)")
    ]


def test_the_first_migration_of_a_service_has_no_findings() -> None:
    assert lint_migrations(Path(__file__).parents[1] / "migrations") == []
