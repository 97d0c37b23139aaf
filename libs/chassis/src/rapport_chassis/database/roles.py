"""A service's database and its two roles: the owner migrates, the run-time role works and defines nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

_LOCK: Final = "rapport:roles"
_RUNTIME_SETTINGS: Final = {
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",  # a suspended process must not hold a row for ever
    "timezone": "UTC",
}


@dataclass(frozen=True)
class RolePasswords:
    """Passwords of the two roles; None leaves a role without one, for sockets that ask for none."""

    owner: str | None = None
    runtime: str | None = None


@dataclass(frozen=True)
class ServiceDatabase:
    """How a service's database and roles are called."""

    name: str
    owner_role: str
    runtime_role: str

    @classmethod
    def of(cls, service: str, database: str | None = None) -> ServiceDatabase:
        """Return the names of a service; `database` replaces the usual name, as for a test's copy."""
        return cls(database or f"rapport_{service}", f"rapport_{service}_owner", f"rapport_{service}")


def create_service_database(
    admin_dsn: str, service: str, passwords: RolePasswords, *, database: str | None = None
) -> ServiceDatabase:
    """Create a service's database and roles, or bring existing ones to the same state.

    Passwords are set in either case and travel as SCRAM verifiers, never in the clear.

    Args:
        admin_dsn: Connection string of a role that may create databases and roles.
        service: Name of the service.
        passwords: What the two roles log in with.
        database: Name of the database, where it is not `rapport_<service>`.
    """
    names = ServiceDatabase.of(service, database)
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        # Roles belong to the whole cluster, and PostgreSQL has no CREATE ROLE IF NOT EXISTS.
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [_LOCK])
        _ensure_role(connection, names.owner_role, passwords.owner)
        _ensure_role(connection, names.runtime_role, passwords.runtime)
        for name, value in _RUNTIME_SETTINGS.items():
            _run(connection, "ALTER ROLE {} SET {} TO {}", names.runtime_role, name, sql.Literal(value))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [names.name]).fetchone():
            _run(connection, "CREATE DATABASE {}", names.name)
        _run(connection, "ALTER DATABASE {} OWNER TO {}", names.name, names.owner_role)
        _run(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", names.name)
        _run(connection, "GRANT CONNECT ON DATABASE {} TO {}", names.name, names.runtime_role)
    with psycopg.connect(make_conninfo(admin_dsn, dbname=names.name), autocommit=True) as connection:
        _run(connection, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
        _run(connection, "GRANT USAGE ON SCHEMA public TO {}", names.runtime_role)
    return names


def _ensure_role(connection: psycopg.Connection[Any], role: str, password: str | None) -> None:
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
        _run(connection, "CREATE ROLE {} LOGIN", role)
    if password is not None:
        verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        _run(connection, "ALTER ROLE {} PASSWORD {}", role, sql.Literal(verifier))


def _run(connection: psycopg.Connection[Any], statement: str, *parts: str | sql.Composable) -> None:
    composed = [sql.Identifier(part) if isinstance(part, str) else part for part in parts]
    connection.execute(sql.SQL(statement).format(*composed))
