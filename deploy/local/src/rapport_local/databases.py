"""Connections to the services' databases, as their own run-time roles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from pydantic import SecretStr
from rapport_chassis.settings import DatabaseSettings

from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.service_settings import secrets_folders
from rapport_local.services import LocalDatabase, LocalService

_CONNECT_TIMEOUT_S = 5


@asynccontextmanager
async def database_of(
    environment: Environment, service: LocalService
) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
    """Connect to a service's own database; each statement is a transaction of its own.

    Raises:
        Failure: It cannot be reached.
    """
    try:
        dsn = database_settings(environment, service).dsn.get_secret_value()
        connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)
    except (OSError, psycopg.OperationalError) as error:
        raise Failure(f"the database of {service.name} cannot be reached", hint="`rapport up` starts it") from error
    async with connection:
        yield connection


def database_settings(
    environment: Environment, service: LocalService, database: LocalDatabase | None = None
) -> DatabaseSettings:
    """Return how a database of a service, by default its own, is reached by its run-time role and by its owner.

    Raises:
        OSError: The service was never started here.
    """
    _, migrate = secrets_folders(service, environment)
    wanted = database or service.databases[0]
    return DatabaseSettings(
        dsn=SecretStr((migrate / wanted.secret("dsn")).read_text()),
        owner_dsn=SecretStr((migrate / wanted.secret("owner_dsn")).read_text()),
    )
