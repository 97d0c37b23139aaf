"""Bringing databases back, so that a kill at any moment leaves either what was there or what was in the backup.

A dump is read into a database beside the present one, migrated and marked as restored there, and then takes the other's
place (`replacement`). Whoever was erased since the backup is erased again by the service itself before it is ready:
that is what the mark asks for.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from pydantic import SecretStr
from rapport_chassis.database.roles import RolePasswords, ServiceDatabase, create_service_database
from rapport_chassis.events.jetstream import JetStreamApi, JetStreamError
from rapport_chassis.events.provision import PROVISION_USER, apply
from rapport_chassis.events.topology import ConsumerSpec
from rapport_chassis.events.wire import Wire
from rapport_chassis.settings import DatabaseSettings
from rapport_privacy.participant.joining import consumer_name
from rapport_privacy.participant.replaying import MARK
from rapport_testing.postgres_access import PostgresAccess

from rapport_local import backups, broker
from rapport_local.environment import Environment
from rapport_local.replacement import beside
from rapport_local.services import SERVICES, LocalDatabase, LocalService

_NOT_FOUND: Final = 404
_ERASED: Final = (
    "SELECT profile_id FROM privacy_tombstones",
    "SELECT profile_id FROM fences WHERE kind = 'erased'",
    # What an earlier restore handed to the ledger, which may not have been started since.
    "SELECT profile_id FROM restored_erasures",
)


def read_beside(server: PostgresAccess, service: LocalService, database: LocalDatabase, dump: Path) -> None:
    """Read a dump into a database beside the present one, and bring it to this release's schema.

    Raises:
        Failure: PostgreSQL could not.
        Exception: A migration failed.
    """
    # Half a second of imports.
    from rapport_chassis.database.migrate import upgrade

    present = ServiceDatabase.of(database.name)
    name = beside(present.name)
    server.drop_database(name)
    # Passwords are new at each start of the environment.
    passwords = RolePasswords(owner=secrets.token_urlsafe(24), runtime=secrets.token_urlsafe(24))
    create_service_database(server.dsn(), database.name, passwords, database=name)
    backups.run("pg_restore", "--exit-on-error", "--dbname", server.dsn(name), str(dump))
    settings = DatabaseSettings(
        dsn=SecretStr(server.dsn(name, present.runtime_role, passwords.runtime)),
        owner_dsn=SecretStr(server.dsn(name, present.owner_role, passwords.owner)),
    )
    upgrade(settings, service.migrations(database))


def take_over(server: PostgresAccess, database: LocalDatabase, tables: Iterable[str]) -> int:
    """Copy rows that the present database has, and the one beside it lacks; return how many there were."""
    name = ServiceDatabase.of(database.name).name
    if not backups.exists(server, name):
        return 0
    copied = 0
    with psycopg.connect(server.dsn(name)) as present, psycopg.connect(server.dsn(beside(name))) as restored:
        for table in tables:
            if not _has(present, table):
                continue
            with present.cursor() as cursor:
                cursor.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
                columns = [column.name for column in cursor.description or ()]
                rows = cursor.fetchall()
            insert = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.SQL(", ").join(sql.Placeholder() * len(columns)),
            )
            with restored.cursor() as cursor:
                cursor.executemany(insert, rows)
                copied += max(cursor.rowcount, 0)
    return copied


def erased_anywhere(server: PostgresAccess) -> list[str]:
    """Return every id that some present database knows to be erased: a ledger from before may not know it."""
    found: set[str] = set()
    for _, database in backups.in_order():
        name = ServiceDatabase.of(database.name).name
        if backups.exists(server, name):
            with psycopg.connect(server.dsn(name)) as connection:
                for statement in _ERASED:
                    if _has(connection, statement.split()[3]):
                        found |= {profile_id for (profile_id,) in connection.execute(statement.encode())}
    return sorted(found)


def mark(server: PostgresAccess, service: LocalService, erased: Sequence[str]) -> None:
    """Have the service replay the erasures since the backup before it is ready.

    Args:
        server: The server.
        service: The service, whose first database lies beside the present one.
        erased: Ids that are known to be erased; the ledger takes them in first.
    """
    present = ServiceDatabase.of(service.databases[0].name)
    with psycopg.connect(server.dsn(beside(present.name))) as connection:
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(present.owner_role)))
        # Before the relay runs: what it would publish of them nobody would find again to delete it.
        connection.execute("DELETE FROM outbox WHERE profile_ids && %s::text[]", [erased])
        if _has(connection, "restored_erasures"):
            connection.execute(
                "INSERT INTO restored_erasures (profile_id) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", [erased]
            )
        connection.execute(MARK.encode())


async def begin_consumers_anew(environment: Environment, url: str, service: LocalService) -> list[str]:
    """Have a service receive again what came after its backup; what it handled before, its inbox still knows.

    Of a service that writes to people only the tasks of privacy requests come again: better a message is lost than
    sent twice.
    """
    wanted = [
        spec for spec in broker.topology().consumers if spec.service == service.name and _comes_again(service, spec)
    ]
    wire = await Wire.open(broker.settings_for(environment, url, PROVISION_USER), user=PROVISION_USER)
    try:
        api = JetStreamApi(wire)
        for spec in wanted:
            try:
                await api.call(f"CONSUMER.DELETE.{spec.stream}.{spec.name}")
            except JetStreamError as error:
                if error.code != _NOT_FOUND:
                    raise
        await apply(api, broker.topology())
    finally:
        wire.close()
    return sorted({spec.name for spec in wanted})


def chosen(names: Collection[str]) -> list[LocalService]:
    """Return the services of these names in the order in which they are restored; all of them if none is named."""
    return [service for service in SERVICES if not names or service.name in names]


def _comes_again(service: LocalService, spec: ConsumerSpec) -> bool:
    return not service.mails or spec.name == consumer_name(service.name)


def _has(connection: psycopg.Connection[Any], table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s)", [f"public.{table}"]).fetchone()
    return row is not None and row[0] is not None
