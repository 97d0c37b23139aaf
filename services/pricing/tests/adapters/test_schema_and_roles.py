"""The schema is what the models say, and the role that serves can do what it should and nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import rapport_pricing
from psycopg import errors
from rapport_chassis.database.migrate import check_drift, pending
from rapport_chassis.database.migration_lint import lint_migrations
from rapport_pricing.adapters.tables import Base

MIGRATIONS = Path(rapport_pricing.__file__).parent / "migrations"


@pytest.fixture
def serving(made_pricing: Any) -> Iterator[psycopg.Connection]:
    """A connection of the run-time role, each statement its own transaction."""
    with psycopg.connect(made_pricing.settings.dsn.get_secret_value(), autocommit=True) as connection:
        yield connection


def test_migrations_make_what_the_models_declare(made_pricing: Any) -> None:
    assert check_drift(made_pricing.settings, Base.metadata) == []
    assert pending(made_pricing.settings, MIGRATIONS) == []
    assert lint_migrations(MIGRATIONS) == []


def test_what_was_published_sold_or_decided_is_only_added_to(serving: psycopg.Connection) -> None:
    for statement in (
        "CREATE TABLE mine (a int)",
        "DROP TABLE published_prices",
        "TRUNCATE published_prices",
        "UPDATE published_prices SET gross = 1",
        "DELETE FROM published_prices",
        "UPDATE product_versions SET body = ''",
        "DELETE FROM product_versions",
        "UPDATE decided_versions SET since_us = 0",
        "DELETE FROM decided_versions",
        "DELETE FROM stocks",
        "UPDATE catalogue_head SET holdout_salt = ''",
        "DELETE FROM catalogue_head",
        "SET ROLE rapport_pricing_owner",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            serving.execute(statement.encode())
