"""Puts the identity service together: the only place that chooses real adapters."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from rapport_chassis.auth.actor_tokens import ActorTokenVerifier
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_chassis.background import Stepping
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.housekeeping import Housekeeping
from rapport_chassis.events import inbox
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.events.relay import Relay
from rapport_chassis.idempotency import RequestLog
from rapport_chassis.process import Assembly, Component
from rapport_chassis.rpc.health import Role
from rapport_chassis.rpc.server import ServerBuilder
from rapport_chassis.signing import SigningKeys
from rapport_chassis.telemetry.setup import Telemetry
from rapport_privacy.embedded import ConsentGate
from rapport_privacy.participant.joining import participate
from rapport_privacy.participant.ledger import known_by

from rapport_identity.adapters import facts
from rapport_identity.adapters.hash_rotation import HashRotation, RotateHashes
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.partition import PartitionStore
from rapport_identity.adapters.privacy_holding import IdentityHolding
from rapport_identity.adapters.secret_keys import SecretKeys
from rapport_identity.adapters.suppressions import Suppressions, sweep_after
from rapport_identity.adapters.upkeep import KeyCare
from rapport_identity.adapters.vault import HashKeys
from rapport_identity.bootstrap_api import SERVICES, answer_calls
from rapport_identity.definition import DEFINITION, SERVICE
from rapport_identity.settings import IdentitySettings
from rapport_identity.translate.records import found_by


class Databases:
    """The service's database and the key store, opened and closed together."""

    def __init__(self, *databases: Database) -> None:
        self._databases = databases

    async def open(self) -> None:
        """Begin to connect."""
        await asyncio.gather(*(each.open() for each in self._databases))

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(each.close() for each in self._databases))


def build(settings: IdentitySettings, roles: tuple[Role, ...]) -> Assembly:
    """Return the process with these roles, nothing started yet."""
    clock = SystemClock()
    telemetry = Telemetry.start(
        settings.telemetry, service=SERVICE, version=DEFINITION.version, environment=settings.environment
    )
    database = Database(settings.database, service=SERVICE)
    keys_database = Database(settings.keys.database, service=SERVICE)
    keys = PostgresKeyStore(keys_database, SecretKeys.load(settings.keys.epoch_folder))
    hash_keys = SecretKeys.load(settings.keys.hash_folder)
    nats = NatsConnection(settings.nats, user=SERVICE, clock=clock)
    policy = PermissionPolicy.load(settings.auth.policy_file)
    issuers = settings.auth.issuers_file
    server = ServerBuilder(
        settings.grpc,
        service=SERVICE,
        telemetry=telemetry,
        policy=policy,
        tokens=ActorTokenVerifier(issuers, SERVICE, clock) if issuers else None,
        clock=clock,
        roles=roles,
        declared=SERVICES if "api" in roles else (),
    )
    answering: list[Component] = []
    store, suppressions = PartitionStore(database, HashKeys(hash_keys)), Suppressions(keys)
    gate = None
    if settings.gate is not None and {"api", "events"} & set(roles):
        gate = ConsentGate(settings.gate, telemetry=telemetry, nats=nats, clock=clock)
        answering.append(gate)
    if "api" in roles:
        answering += answer_calls(
            settings,
            server,
            database=database,
            store=store,
            keys=keys,
            suppressions=suppressions,
            gate=gate,
            telemetry=telemetry,
            clock=clock,
        )
        server.health.register("api", "database", database.check)
        server.health.register("api", "key_store", keys_database.check)
    relay = Relay(SERVICE, database=database, nats=settings.nats, telemetry=telemetry, clock=clock)
    events_kept = timedelta(days=settings.events_kept_days)
    forgetting = sweep_after(timedelta(days=settings.suppressed_days))
    sweeps = [RequestLog().sweep, inbox.sweep, facts.sweep_after(events_kept), forgetting]
    sweeper = Housekeeping(database, sweeps, clock=clock, role="relay")
    care = KeyCare(database, keys, timedelta(days=settings.keys.rotate_every_days), clock)
    rehashing = RotateHashes(
        HashRotation(database, keys, hash_keys, found_by), timedelta(days=settings.keys.rotate_hashes_every_days), clock
    )
    hash_care = Stepping("hash-keys", rehashing.step, clock, share=0.2, idle_s=settings.keys.look_every_s, role="relay")
    server.health.register("relay", relay.name, relay.check)
    if settings.privacy is not None:
        signing = SigningKeys.load(settings.privacy.signing_folder, clock)
        kept_for = timedelta(days=settings.touchpoints_kept_days)
        holding = IdentityHolding(database, store, keys, suppressions, signing, clock, kept_for)
        answering += participate(
            SERVICE,
            settings.privacy,
            holding,
            server=server,
            roles=roles,
            database=database,
            nats=nats,
            ledger=known_by(gate),
            telemetry=telemetry,
            release=DEFINITION.version,
            clock=clock,
        )
    return Assembly(
        telemetry=telemetry,
        server=server.build(),
        roles=roles,
        drain_s=settings.grpc.drain_s,
        database=Databases(database, keys_database),
        nats=nats,
        components=[*answering, relay, sweeper, care, hash_care],
    )
