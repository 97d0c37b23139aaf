"""The schemas are what the models say, and the roles that serve can do what they should and nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors
from rapport_chassis.database.migrate import check_drift, pending
from rapport_chassis.database.migration_lint import lint_migrations
from rapport_identity.adapters.keys_tables import RecordKeyTable
from rapport_identity.adapters.tables_matching import MatcherTable


@pytest.fixture
def serving(made_identity: Any) -> Iterator[psycopg.Connection]:
    """A connection of identity's run-time role, each statement its own transaction."""
    with psycopg.connect(made_identity.settings.dsn.get_secret_value(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def serving_keys(made_keys: Any) -> Iterator[psycopg.Connection]:
    """The same of the key store's."""
    with psycopg.connect(made_keys.settings.dsn.get_secret_value(), autocommit=True) as connection:
        yield connection


def test_migrations_make_what_the_models_declare(made_identity: Any, made_keys: Any) -> None:
    for made, table in ((made_identity, MatcherTable), (made_keys, RecordKeyTable)):
        assert check_drift(made.settings, table.metadata) == []
        assert pending(made.settings, made.migrations) == []
        assert lint_migrations(made.migrations) == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (a int)",
        "ALTER TABLE records ADD COLUMN mine int",
        "DROP TABLE records",
        "TRUNCATE records",
        "DELETE FROM records",
        "UPDATE moves SET cause = 'x'",
        "DELETE FROM moves",
        "DELETE FROM redirects",
        "UPDATE redirects SET issued_id = 'prf_x'",
        "DELETE FROM profiles",
        "DELETE FROM partition_head",
        "INSERT INTO partition_head SELECT * FROM partition_head",
        "DELETE FROM constraints",
        "UPDATE constraints SET reason = 'x'",
        "UPDATE facts SET payload = ''",
        "UPDATE source_events SET answer = ''",
        "SELECT setval('record_numbers', 1)",
        "SET ROLE rapport_identity_owner",
    ],
)
def test_role_that_serves_is_refused(serving: psycopg.Connection, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        serving.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (a int)",
        "DROP TABLE record_keys",
        "TRUNCATE record_keys",
        "UPDATE record_keys SET key_id = ''",
        "UPDATE record_keys SET created_at = now()",
        "UPDATE epochs SET epoch = 2",
        "SET ROLE rapport_identity_keys_owner",
    ],
)
def test_role_of_the_key_store_is_refused(serving_keys: psycopg.Connection, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        serving_keys.execute(statement.encode())


@pytest.mark.parametrize(("role", "other"), [("made_identity", "made_keys"), ("made_keys", "made_identity")])
def test_role_of_one_store_cannot_reach_the_other(request: Any, role: str, other: str) -> None:
    own, foreign = request.getfixturevalue(role), request.getfixturevalue(other)
    dsn = own.settings.dsn.get_secret_value()
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(psycopg.conninfo.make_conninfo(dsn, dbname=foreign.database.name))


def test_record_is_either_whole_or_erased(made_identity: Any) -> None:
    row = (
        "INSERT INTO records VALUES (1, 'rec_1', 'crm', '\\x01', 'prf_1', 'prf_1', 1, '\\x02', 1,"
        " {}, '\\x04', now(), 1, now(), {})"
    )
    for value, erased in (("NULL", "false"), ("'\\x03'", "true")):
        with pytest.raises(errors.CheckViolation):
            made_identity.database.execute(row.format(value, erased))
