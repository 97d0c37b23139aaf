"""The local NATS server: its users, what is declared for it, and the command's own connection to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rapport_chassis.events.jetstream import JetStreamApi
from rapport_chassis.events.topology import DECLARED, Topology, load
from rapport_chassis.events.wire import Wire, WireError
from rapport_chassis.settings import NatsSettings, TlsFiles
from rapport_testing.nats import NatsUser

from rapport_local import access
from rapport_local.environment import STREAM_MAX_BYTES, STREAM_PREFIX, Environment
from rapport_local.failure import Failure


def topology() -> Topology:
    """Return what is declared, for this installation."""
    return load(DECLARED, prefix=STREAM_PREFIX, max_bytes=STREAM_MAX_BYTES)


def users() -> list[NatsUser]:
    """Return the declared users and their permissions."""
    return [NatsUser(user.uri, user.publish, user.subscribe) for user in topology().users]


def settings_for(environment: Environment, url: str, user: str) -> NatsSettings:
    """Return how a holder of a certificate connects."""
    files = access.tls_files(environment, user)
    tls = TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)
    return NatsSettings(url=url, tls=tls, stream_prefix=STREAM_PREFIX, stream_max_bytes=STREAM_MAX_BYTES)


@asynccontextmanager
async def connected(environment: Environment, address: str) -> AsyncIterator[JetStreamApi]:
    """Connect as the command itself, which may look at everything and look after dead letters.

    Raises:
        Failure: NATS cannot be reached.
    """
    try:
        wire = await Wire.open(settings_for(environment, f"tls://{address}", access.CLI), user=access.CLI)
    except WireError as error:
        raise Failure(str(error), hint="`rapport status` shows whether it runs") from error
    try:
        yield JetStreamApi(wire)
    finally:
        wire.close()
