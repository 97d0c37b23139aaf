"""Databases of tests: a template is built once in a run, and each test gets a copy of its own."""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from rapport_testing.postgres_access import PostgresAccess


@dataclass(frozen=True)
class Database:
    """One database of a cluster.

    Attributes:
        name: Its name.
        access: The cluster it is in.
    """

    name: str
    access: PostgresAccess

    def dsn(self, user: str | None = None, password: str | None = None) -> str:
        """Return its libpq URL, for the superuser unless another user is named."""
        return self.access.dsn(self.name, user, password)

    def execute(self, statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the superuser and return the rows of the last one."""
        return self.access.execute(statements, self.name)


TemplateBuilder = Callable[[Database], None]


class DatabaseFactory:
    """Makes the databases of one test run on a cluster that other processes of the run share.

    Args:
        access: The cluster.
        run_id: Letters and digits that no other run has; all names hold it.
    """

    def __init__(self, access: PostgresAccess, run_id: str) -> None:
        self._access = access
        self._prefix = f"rapport_test_{run_id}"
        self._numbers = itertools.count()
        self._process = secrets.token_hex(4)
        self._templates: set[str] = set()

    def create(self, builder: TemplateBuilder | None = None, key: str | None = None) -> Database:
        """Create a database: empty, or a copy of what `builder` builds once in this run.

        Args:
            builder: Fills the template; roles, which belong to the whole cluster, it creates only if they are missing.
            key: Tells templates apart; the full name of the builder if not given.
        """
        template = self._template(builder, key) if builder is not None else None
        database = Database(f"{self._prefix}_{self._process}_{next(self._numbers)}", self._access)
        self._access.create_database(database.name, template=template)
        return database

    def drop(self, database: Database) -> None:
        """Drop a database, whoever is connected to it."""
        self._access.drop_database(database.name)

    def drop_all(self) -> None:
        """Drop all databases of this run, the templates too."""
        pattern = self._prefix.replace("_", r"\_") + "%"
        with psycopg.connect(self._access.dsn(), autocommit=True) as connection:
            rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [pattern]).fetchall()
        for (name,) in rows:
            self._access.drop_database(name)

    def _template(self, builder: TemplateBuilder, key: str | None) -> str:
        full_key = key or f"{builder.__module__}.{getattr(builder, '__qualname__', repr(builder))}"
        name = f"{self._prefix}_tpl_{hashlib.sha256(full_key.encode()).hexdigest()[:12]}"
        if name not in self._templates:
            self._build_once(name, builder)
            self._templates.add(name)
        return name

    def _build_once(self, name: str, builder: TemplateBuilder) -> None:
        with psycopg.connect(self._access.dsn(), autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                return
            # It gets its name when it is complete: what a killed worker left half built is never copied.
            unfinished = Database(f"{name}_new", self._access)
            self._access.drop_database(unfinished.name)
            self._access.create_database(unfinished.name)
            builder(unfinished)
            old, new = sql.Identifier(unfinished.name), sql.Identifier(name)
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(old))
            # A connection that the builder has closed may still be on its way out.
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [unfinished.name]
            )
            connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(old, new))
