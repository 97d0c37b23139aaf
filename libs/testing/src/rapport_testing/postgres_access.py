"""A PostgreSQL cluster that can be reached, whoever started it: databases are made, cloned and dropped here."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import psycopg
from psycopg import sql as composed


@dataclass(frozen=True)
class PostgresAccess:
    """The address of a cluster and the superuser it is administered with.

    Attributes:
        host: The folder of its Unix socket, or a host name.
        port: The port, which is also part of the socket's file name.
        user: A superuser.
        password: Its password; None where the socket needs none.
    """

    host: str
    port: int
    user: str = "postgres"
    password: str | None = None

    @classmethod
    def from_url(cls, url: str) -> PostgresAccess:
        """Read a `postgresql://user:password@host:port/` address; a socket folder may be given as `?host=`."""
        parts = urlsplit(url)
        options = parse_qs(parts.query)
        return cls(
            host=options.get("host", [parts.hostname or "localhost"])[0],
            port=int(options.get("port", [str(parts.port or 5432)])[0]),
            user=unquote(parts.username or "postgres"),
            password=unquote(parts.password) if parts.password else None,
        )

    def dsn(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """Return the libpq URL of a database, for the superuser unless another user is named."""
        name = user or self.user
        secret = password if user is not None else self.password
        login = quote(name, safe="") + (f":{quote(secret, safe='')}" if secret else "")
        return f"postgresql://{login}@/{quote(database, safe='')}?{urlencode({'host': self.host, 'port': self.port})}"

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one or more statements as the superuser, each in its own transaction, and return the last one's rows.

        Raises:
            psycopg.Error: What the server refused, or that it cannot be reached.
        """
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description is not None else []

    def create_database(self, name: str, template: str | None = None, owner: str | None = None) -> None:
        """Create a database, as a copy of `template` if one is named; nobody may be connected to the template."""
        statement = composed.SQL("CREATE DATABASE {}").format(composed.Identifier(name))
        if template is not None:
            # Copying files costs half of what copying their pages through the log does.
            statement += composed.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(composed.Identifier(template))
        if owner is not None:
            statement += composed.SQL(" OWNER {}").format(composed.Identifier(owner))
        self._administer(statement)

    def drop_database(self, name: str) -> None:
        """Drop a database, if it exists, and cut the connections to it."""
        self._administer(composed.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(composed.Identifier(name)))

    def create_role(self, name: str, password: str | None = None) -> None:
        """Create a role that may log in, unless it exists; a given password is set in either case."""
        role = composed.Identifier(name)
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            # A concurrent creation is reported as a violated index.
            with contextlib.suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                connection.execute(composed.SQL("CREATE ROLE {} LOGIN").format(role))
            if password is not None:
                connection.execute(composed.SQL("ALTER ROLE {} PASSWORD {}").format(role, composed.Literal(password)))

    def _administer(self, statement: composed.Composed) -> None:
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(statement)
