"""The schema is what the models say, and the role that serves can do what it should and nothing more."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors
from rapport_chassis.database.migrate import check_drift, pending
from rapport_chassis.database.migration_lint import lint_migrations
from rapport_churn.adapters.tables import Base


def test_migrations_make_what_the_models_declare(made_churn: Any) -> None:
    assert check_drift(made_churn.settings, Base.metadata) == []
    assert pending(made_churn.settings, made_churn.migrations) == []
    assert lint_migrations(made_churn.migrations) == []


def test_who_serves_may_change_neither_models_nor_promotions_nor_what_was_decided(made_churn: Any) -> None:
    with psycopg.connect(made_churn.settings.dsn.get_secret_value(), autocommit=True) as connection:
        for statement in (
            "CREATE TABLE mine (a int)",
            "DROP TABLE facts",
            "UPDATE facts SET value = 1",
            "UPDATE facts SET arrived_at = 1",
            "UPDATE log_head SET holdout_salt = ''",
            "DELETE FROM log_head",
            "DELETE FROM removals",
            "UPDATE removals SET profile_ids = '{}'",
            "UPDATE decisions SET scored_at = now()",
            "UPDATE models SET body = ''",
            "DELETE FROM models",
            "UPDATE promotions SET model_id = ''",
            "DELETE FROM promotions",
            "DELETE FROM reviews",
            "SET ROLE rapport_churn_owner",
        ):
            with pytest.raises((errors.InsufficientPrivilege, errors.InvalidParameterValue)):
                connection.execute(statement.encode())


def test_a_decision_about_nobody_has_no_body(made_churn: Any) -> None:
    with psycopg.connect(made_churn.settings.dsn.get_secret_value(), autocommit=True) as connection:
        with pytest.raises(errors.CheckViolation):
            connection.execute("INSERT INTO decisions VALUES ('dec_1', '', now(), 'x', 'x')")
        with pytest.raises(errors.CheckViolation):
            connection.execute("INSERT INTO decisions VALUES ('dec_1', 'prf_1', now(), NULL, NULL)")
