"""One database takes the place of another: a kill leaves one or the other, and what it leaves beside is swept up."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import psycopg
from psycopg import sql
from rapport_chassis.database.roles import ServiceDatabase
from rapport_chassis.failpoints import failpoint
from rapport_testing.postgres_access import PostgresAccess

from rapport_local.services import SERVICES, LocalDatabase

_BESIDE: Final = "_restoring"
_BEFORE: Final = "_before"


def beside(name: str) -> str:
    """Return the name of the database that is to take the place of this one."""
    return name + _BESIDE


def replace_databases(server: PostgresAccess, databases: Collection[LocalDatabase]) -> None:
    """Put the databases beside in the place of the present ones, all at once."""
    names = [ServiceDatabase.of(database.name).name for database in databases]
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for name in names:
            _run(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name + _BEFORE)
        taken = [name for (name,) in connection.execute("SELECT datname FROM pg_database")]
        for name in (*names, *map(beside, names)):
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        failpoint("restore.replacing")
        with connection.transaction():
            for name in names:
                if name in taken:
                    _run(connection, "ALTER DATABASE {} RENAME TO {}", name, name + _BEFORE)
                _run(connection, "ALTER DATABASE {} RENAME TO {}", beside(name), name)
        failpoint("restore.replaced")
        for name in names:
            _run(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name + _BEFORE)


def drop_left_over(server: PostgresAccess) -> None:
    """Drop what a restore that was killed left beside the databases: nobody would ever be erased in it."""
    present = [ServiceDatabase.of(database.name).name for service in SERVICES for database in service.databases]
    ours = {name + suffix for name in present for suffix in (_BESIDE, _BEFORE)}
    for (name,) in server.execute("SELECT datname FROM pg_database"):
        if name in ours:
            server.drop_database(name)


def _run(connection: psycopg.Connection[Any], statement: str, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
