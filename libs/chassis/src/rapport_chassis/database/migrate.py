"""Runs a service's migrations, one at a time and never two runners at once, and compares the schema with the model.

Each migration is a transaction of its own, waits 4 s for a lock and 5 s for a statement: a migration that would hold up
the service fails instead and can be run again. One that builds an index does so CONCURRENTLY in
`op.get_context().autocommit_block()`, where it may first `SET statement_timeout = 0`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import psycopg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, MetaData, NullPool, create_engine, text

from rapport_chassis.database.migration_files import (
    COMPARISON,
    Kind,
    MigrationError,
    configuration,
    next_migration,
    read_migrations,
)
from rapport_chassis.settings import DatabaseSettings

_LOCK_KEY: Final = "rapport:migrations"
_LOCK_POLL_S: Final = 0.2
_OPTIONS: Final = "-c lock_timeout=4000 -c statement_timeout=5000 -c timezone=UTC"


def upgrade(settings: DatabaseSettings, folder: Path, *, lock_wait_s: float = 120.0) -> list[str]:
    """Bring the database to the newest migration and return the names of those that were run.

    A second runner waits for the first and then finds nothing to do.

    Args:
        settings: `owner_dsn` migrates; the role in `dsn` is the one that the tables are granted to.
        folder: Where the service keeps its migrations.
        lock_wait_s: How long to wait for another runner.

    Raises:
        MigrationError: The files break a rule, there is no `owner_dsn`, or another runner does not finish.
        sqlalchemy.exc.DBAPIError: A migration failed; those before it stay, it is rolled back.
    """
    migrations = read_migrations(folder)
    with _owner_connection(settings) as connection:
        _take_lock(connection, lock_wait_s)
        before = _revision(connection)
        command.upgrade(configuration(folder, connection=connection, runtime_role=_runtime_role(settings)), "head")
        after = _revision(connection)
    return [each.name for each in migrations if before < each.number <= after]


def pending(settings: DatabaseSettings, folder: Path) -> list[str]:
    """Return the names of the migrations that were not run yet.

    Raises:
        MigrationError: The files break a rule, or there is no `owner_dsn`.
    """
    migrations = read_migrations(folder)
    with _owner_connection(settings) as connection:
        revision = _revision(connection)
    return [each.name for each in migrations if each.number > revision]


def draft(settings: DatabaseSettings, folder: Path, kind: Kind, what: str, metadata: MetaData) -> Path:
    """Write the next migration from what differs between the database and the model, for a person to revise.

    Args:
        settings: A database at the newest migration.
        folder: Where the service keeps its migrations.
        kind: Whether the release before goes on working ("expand") or must be gone ("contract").
        what: Lower-case words joined by underscores.
        metadata: The model.

    Raises:
        MigrationError: The files or the new name break a rule, or there is no `owner_dsn`.
    """
    migration = next_migration(folder, kind, what)
    with _owner_connection(settings) as connection:
        config = configuration(folder, connection=connection, target_metadata=metadata)
        command.revision(config, message=f"{kind}_{what}", rev_id=migration.number, autogenerate=True)
    return folder / f"{migration.name}.py"


def check_drift(settings: DatabaseSettings, metadata: MetaData) -> list[str]:
    """Return what differs between the database's schema and the model, one line each; empty if they agree.

    Raises:
        MigrationError: There is no `owner_dsn`.
    """
    with _owner_connection(settings) as connection:
        context = MigrationContext.configure(connection, opts=COMPARISON)
        return [_described(difference) for difference in _flat(compare_metadata(context, metadata))]


def runtime_role(op: Operations | ModuleType) -> str:
    """Return the role of the service, for a migration to grant to: pass `alembic.op` itself."""
    role: str = op.get_context().opts["runtime_role"]
    return role


@contextmanager
def _owner_connection(settings: DatabaseSettings) -> Iterator[Connection]:
    if settings.owner_dsn is None:
        raise MigrationError("no owner_dsn is set: the run-time role cannot migrate")
    dsn = settings.owner_dsn.get_secret_value()
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn, options=_OPTIONS), poolclass=NullPool
    )
    with engine.connect() as connection:
        yield connection


def _take_lock(connection: Connection, wait_s: float) -> None:
    # Asked for again and again: waiting inside the server would block an index built CONCURRENTLY by the other runner.
    deadline = time.monotonic() + wait_s
    asked = text("SELECT pg_try_advisory_lock(hashtextextended(:key, 0))")
    while not connection.scalar(asked, {"key": _LOCK_KEY}):
        connection.rollback()
        if time.monotonic() > deadline:
            raise MigrationError(f"another migration runner did not finish within {wait_s:.0f} s")
        time.sleep(_LOCK_POLL_S)
    connection.commit()


def _revision(connection: Connection) -> str:
    revision = MigrationContext.configure(connection).get_current_revision() or ""
    connection.rollback()
    return revision


def _runtime_role(settings: DatabaseSettings) -> str:
    role = conninfo_to_dict(settings.dsn.get_secret_value()).get("user")
    if not role:
        raise MigrationError("the dsn names no user: the run-time role is unknown")
    return str(role)


def _flat(differences: list[Any]) -> Iterator[tuple[Any, ...]]:
    """Alembic gives the changes of one column as a list within the list."""
    for difference in differences:
        if isinstance(difference, list):
            yield from difference
        else:
            yield difference


def _described(difference: tuple[Any, ...]) -> str:
    what, *parts = difference
    words = [str(getattr(part, "name", part)) for part in parts if part is not None and not isinstance(part, dict)]
    tables = [part.table.name for part in parts if getattr(part, "table", None) is not None]
    return " ".join([what, *(table for table in tables if table not in words), *words])
