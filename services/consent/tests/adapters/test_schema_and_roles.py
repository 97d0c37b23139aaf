"""The schema is what the model says, and the role that serves can do to the ledger what it should and nothing more."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from consent_desk import CONSENT
from psycopg import errors
from rapport_chassis.database.migrate import check_drift, pending
from rapport_chassis.settings import DatabaseSettings
from rapport_consent.adapters.tables_requests import PrivacyRequestTable

ROW = "INSERT INTO ledger (position, epoch, recorded_at, reference, named_id, kind) VALUES"


@pytest.fixture
def serving(settings: DatabaseSettings) -> Iterator[psycopg.Connection]:
    """A connection of the run-time role, each statement its own transaction."""
    with psycopg.connect(settings.dsn.get_secret_value(), autocommit=True) as connection:
        yield connection


def test_migrations_make_what_the_model_declares(settings: DatabaseSettings) -> None:
    assert check_drift(settings, PrivacyRequestTable.metadata) == []
    assert pending(settings, CONSENT.migrations) == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (a int)",
        "CREATE TEMP TABLE mine (a int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION blank_erased(erased_id text) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
        "ALTER TABLE ledger ADD COLUMN mine int",
        "ALTER TABLE ledger DISABLE TRIGGER ALL",
        "DROP TABLE ledger",
        "DROP FUNCTION blank_erased(text)",
        "CREATE INDEX mine ON ledger (kind)",
        "TRUNCATE ledger",
        "UPDATE ledger SET kind = 'grant'",
        "UPDATE ledger SET change = NULL",
        "DELETE FROM ledger",
        "MERGE INTO ledger USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
        "DELETE FROM ledger_head",
        "INSERT INTO ledger_head SELECT * FROM ledger_head",
        "UPDATE fences SET profile_id = 'x'",
        "DELETE FROM fences",
        "DELETE FROM profiles",
        "DELETE FROM imported_rows",
        "UPDATE imported_rows SET reference = 'x'",
        "SET ROLE rapport_consent_owner",
    ],
)
def test_role_that_serves_is_refused(serving: psycopg.Connection, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        serving.execute(statement.encode())


def test_role_that_serves_reads_and_adds_to_the_ledger_and_moves_its_head(serving: psycopg.Connection) -> None:
    serving.execute(f"{ROW} (1, 'e', now(), 'cev_1', 'prf_1', 'grant')".encode())
    serving.execute("UPDATE ledger_head SET position = 1")
    assert serving.execute("SELECT position, kind FROM ledger").fetchall() == [(1, "grant")]


def test_position_is_given_once(serving: psycopg.Connection) -> None:
    serving.execute(f"{ROW} (1, 'e', now(), 'cev_1', 'prf_1', 'grant')".encode())
    with pytest.raises(errors.UniqueViolation):
        serving.execute(f"{ROW} (1, 'e', now(), 'cev_2', 'prf_2', 'grant')".encode())


def test_rows_are_blanked_only_for_an_id_with_a_recorded_erasure(serving: psycopg.Connection) -> None:
    for position, named_id in ((1, "prf_1"), (2, "prf_2"), (3, "prf_1")):
        serving.execute(
            "INSERT INTO ledger"
            " (position, epoch, recorded_at, reference, named_id, kind, purpose_id, receipt_id, change)"
            " VALUES (%s, 'e', now(), %s, %s, 'grant', 'promo', %s, 'x')",
            (position, f"cev_{position}", named_id, f"rcp_{position}"),
        )
        serving.execute("INSERT INTO imported_rows VALUES (%s, %s)", (bytes([position]), f"cev_{position}"))
    with pytest.raises(errors.CheckViolation):
        serving.execute("SELECT blank_erased('prf_1')")
    serving.execute("INSERT INTO fences VALUES ('prf_1', 'erased', 4, 'req_1')")
    with pytest.raises(errors.CheckViolation):
        serving.execute("SELECT blank_erased('prf_2')")
    assert serving.execute("SELECT blank_erased('prf_1')").fetchone() == (2,)
    assert serving.execute("SELECT blank_erased('prf_1')").fetchone() == (0,)
    rows = serving.execute("SELECT named_id, kind, purpose_id, receipt_id, change FROM ledger ORDER BY position")
    assert rows.fetchall() == [
        ("prf_1", "blank", "", None, None),
        ("prf_2", "grant", "promo", "rcp_2", b"x"),
        ("prf_1", "blank", "", None, None),
    ]
    assert serving.execute("SELECT reference FROM imported_rows").fetchall() == [("cev_2",)]


def test_nobody_but_the_role_that_serves_may_blank(settings: DatabaseSettings, serving: psycopg.Connection) -> None:
    rights = "SELECT has_function_privilege('public', 'blank_erased(text)', 'EXECUTE')"
    assert serving.execute(rights).fetchone() == (False,)
    path = serving.execute("SELECT prosecdef, proconfig FROM pg_proc WHERE proname = 'blank_erased'").fetchone()
    assert path == (True, ["search_path=public, pg_temp"])
