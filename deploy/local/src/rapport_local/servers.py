"""The environment's servers for a command that needs no service: those that run, or started for as long as it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rapport_testing.child import ProcessError
from rapport_testing.postgres import PostgresServer
from rapport_testing.postgres_access import PostgresAccess

from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.progress import Progress
from rapport_local.stack import Stack


def database_server(environment: Environment) -> PostgresAccess:
    """Return how the superuser reaches the environment's PostgreSQL; it need not run."""
    return PostgresServer(environment.data / "postgres").access


@asynccontextmanager
async def started_alone(environment: Environment, progress: Progress) -> AsyncIterator[Stack]:
    """Start PostgreSQL and NATS, and no service, and stop them at the end of the block.

    Raises:
        Failure: The environment runs, or a server does not start.
    """
    with environment.held():
        stack = Stack(environment, progress, lambda _: None, services=())
        try:
            await stack.start()
            yield stack
        except ProcessError as error:
            first, *more = str(error).splitlines()
            raise Failure(first, details="\n".join(more)) from error
        finally:
            await stack.stop()
