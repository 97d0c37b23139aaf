"""The local NATS server: its users, what is declared for it, and the command's own connection to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from rapport_chassis.events.jetstream import JetStreamApi
from rapport_chassis.events.topology import DECLARED, Topology, load
from rapport_chassis.events.wire import Wire, WireError
from rapport_chassis.reloading import Reloaded
from rapport_chassis.settings import NatsSettings, TlsFiles
from rapport_testing.nats import NatsUser

from rapport_local import access
from rapport_local.environment import STREAM_MAX_BYTES, STREAM_PREFIX, Environment
from rapport_local.failure import Failure


def topology(gates: Sequence[str] = ()) -> Topology:
    """Return what is declared, for this installation.

    Args:
        gates: Clients that hold a consent gate.
    """
    return load(DECLARED, prefix=STREAM_PREFIX, max_bytes=STREAM_MAX_BYTES, gates=gates)


class Users:
    """The users of the server: those declared, and every client that may hold a consent gate."""

    def __init__(self, environment: Environment) -> None:
        def read() -> list[NatsUser]:
            declared = topology().users
            services = {user.uri for user in declared}
            gates = [name for name in access.gate_holders(environment) if access.caller(name) not in services]
            return [NatsUser(user.uri, user.publish, user.subscribe) for user in topology(gates).users]

        self._users = Reloaded("nats_users", [environment.policy_file], read)

    def current(self) -> list[NatsUser]:
        """Return them as the policy names them at present; those of before while it is broken."""
        return self._users.current()


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
