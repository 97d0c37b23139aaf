"""Puts the identity service together: the only place that chooses real adapters."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from google.longrunning import operations_pb2, operations_pb2_grpc
from protovalidate import Validator
from rapport.identity.v1 import (
    identity_pb2,
    identity_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    matcher_pb2,
    matcher_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)
from rapport_chassis.auth.actor_tokens import ActorTokenVerifier
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_chassis.background import Stepping, Unhurried
from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.housekeeping import Housekeeping
from rapport_chassis.events import inbox
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.events.relay import Relay
from rapport_chassis.idempotency import RequestLog
from rapport_chassis.once import Once
from rapport_chassis.operations import OperationRunner, OperationsServicer
from rapport_chassis.process import Assembly, Component
from rapport_chassis.rpc.health import Role
from rapport_chassis.rpc.server import ServerBuilder
from rapport_chassis.signing import SigningKeys
from rapport_chassis.telemetry.setup import Telemetry
from rapport_privacy.embedded import ConsentGate
from rapport_privacy.freshness import Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.participant.joining import participate
from rapport_privacy.participant.ledger import known_by
from rapport_privacy.replica import Replica

from rapport_identity.adapters import facts
from rapport_identity.adapters.anniversaries import AnniversaryRounds
from rapport_identity.adapters.computing import ChildComputing
from rapport_identity.adapters.contact_ids import ContactIds
from rapport_identity.adapters.declarations import DecidedDeclarations, versions_in
from rapport_identity.adapters.hash_rotation import HashRotation, RotateHashes
from rapport_identity.adapters.id_map import IdMapReader
from rapport_identity.adapters.key_pool import KeyPool
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.loading import IndexLoader, RecordLoader
from rapport_identity.adapters.matcher_store import MatcherStore
from rapport_identity.adapters.operations import SubmittedOperations
from rapport_identity.adapters.origins import RecordOrigins
from rapport_identity.adapters.parking import ParkedRecords
from rapport_identity.adapters.partition import PartitionStore
from rapport_identity.adapters.privacy_holding import IdentityHolding
from rapport_identity.adapters.resolving import ResolvingUnits
from rapport_identity.adapters.reviews import ReviewQueue
from rapport_identity.adapters.secret_keys import SecretKeys
from rapport_identity.adapters.suppressions import Suppressions, sweep_after
from rapport_identity.adapters.touchpoints import OutboxBacklog, TouchpointFacts
from rapport_identity.adapters.undecided import UndecidedPurposes
from rapport_identity.adapters.upkeep import Following, Intake, KeyCare
from rapport_identity.adapters.vault import HashKeys
from rapport_identity.adapters.zones import zones_of
from rapport_identity.app.anniversaries import TellAnniversaries
from rapport_identity.app.batcher import Batcher
from rapport_identity.app.contact_points import GetContactPoints
from rapport_identity.app.declarations import Registry
from rapport_identity.app.explain import Explain
from rapport_identity.app.matchers import KeepMatchers
from rapport_identity.app.parked import TakeUpParked
from rapport_identity.app.partition import Partition, Session
from rapport_identity.app.ports import KeyStore
from rapport_identity.app.preview import PreviewMatcher
from rapport_identity.app.records import TakeInRecords
from rapport_identity.app.resolve import ResolveRecords
from rapport_identity.app.reviews import FindReviews
from rapport_identity.app.touchpoints import IngestTouchpoints
from rapport_identity.app.train import TrainMatcher
from rapport_identity.app.undecided import DecideLater
from rapport_identity.definition import DEFINITION, SERVICE
from rapport_identity.domain.defaults import default_matcher, default_matcher_id
from rapport_identity.entrypoints.grpc import servicer_of
from rapport_identity.entrypoints.grpc_contacts import Contacts
from rapport_identity.entrypoints.grpc_explanations import Explanations
from rapport_identity.entrypoints.grpc_matchers import PREVIEW, TRAIN, MatcherServicer, MatcherWork
from rapport_identity.entrypoints.grpc_profiles import Profiles
from rapport_identity.entrypoints.grpc_records import Records
from rapport_identity.entrypoints.grpc_registry import RegistryServicer
from rapport_identity.entrypoints.grpc_stewards import Stewards
from rapport_identity.entrypoints.grpc_touchpoints import TouchpointServicer
from rapport_identity.entrypoints.single import SingleRecords, SingleTouchpoints
from rapport_identity.settings import IdentitySettings
from rapport_identity.telemetry import ANNIVERSARIES, TOUCHPOINTS
from rapport_identity.translate.records import found_by
from rapport_identity.translate.touchpoints import sighting

SERVICES = (
    identity_pb2.DESCRIPTOR.services_by_name["IdentityService"],
    ingest_pb2.DESCRIPTOR.services_by_name["TouchpointService"],
    registry_pb2.DESCRIPTOR.services_by_name["RegistryService"],
    matcher_pb2.DESCRIPTOR.services_by_name["MatcherService"],
)
"""What it serves."""

_REVIEWS_EVERY_S: Final = 10.0
"""How often close calls are looked for while records come without a pause."""
_UNDECIDED_EVERY_S: Final = 10.0
"""How often it is looked for what is undecided where nothing was committed: nothing falls due by itself."""


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
        units = ResolvingUnits(store, keys, clock)
        partition = Partition(units, IndexLoader(RecordLoader(database, keys)), default_matcher(), default_matcher_id())
        pool = KeyPool(keys, clock)
        resolve = ResolveRecords(partition, pool)
        permits = gate or Gate(Replica(), Freshness(), clock)  # one that never knows anything denies as stale
        registry = Registry(DecidedDeclarations())
        take_in = TakeInRecords(partition, resolve, registry=registry, gate=permits, erased=suppressions, clock=clock)
        once = Once(partition.session, lambda session: session.unit)
        single = Batcher(SingleRecords(partition, take_in))
        ingest = IngestTouchpoints(
            partition,
            resolve,
            registry=registry,
            gate=permits,
            erased=suppressions,
            facts=TouchpointFacts(),
            submit=sighting,
            clock=clock,
        )
        offered = Batcher(SingleTouchpoints(partition, ingest))
        following = Following(partition, settings.refresh_every_s, database.commits, telemetry.meter)
        explanations, joining = _matching(server, database, keys, partition, once, clock)
        anniversaries = TellAnniversaries(
            partition,
            AnniversaryRounds(),
            permits,
            purpose_id=settings.anniversaries.purpose_id,
            zones=zones_of,
            clock=clock,
            every_s=settings.anniversaries.look_every_s,
            on_told=telemetry.meter.counter(ANNIVERSARIES).of().add,
        )
        congratulating = Stepping("anniversaries", anniversaries.step, clock, share=0.2)
        taking_up = TakeUpParked(partition, ParkedRecords())
        parked = Stepping("parked", taking_up.step, clock, share=0.5, commits=database.commits)
        deciding = DecideLater(partition, UndecidedPurposes(), registry=registry, gate=permits, clock=clock)
        undecided = Stepping(
            "undecided", deciding.step, clock, share=0.5, commits=database.commits, overdue_s=_UNDECIDED_EVERY_S
        )
        closing = Intake(single.close, offered.close, pool.close)
        answering += [following, *joining, congratulating, parked, undecided, closing]
        server.add(
            identity_pb2_grpc.add_IdentityServiceServicer_to_server,
            servicer_of(
                Records(single, take_in, partition, Validator(), clock),
                Profiles(partition, IdMapReader(database)),
                Stewards(once, partition),
                Contacts(GetContactPoints(partition, permits, ContactIds(keys))),
                explanations,
            ),
            SERVICES[0],
        )
        server.add(
            ingest_pb2_grpc.add_TouchpointServiceServicer_to_server,
            TouchpointServicer(
                offered,
                ingest,
                Validator(),
                OutboxBacklog(database),
                settings.import_pause_s,
                telemetry.meter.counter(TOUCHPOINTS),
                clock,
            ),
            SERVICES[1],
        )
        server.add(
            registry_pb2_grpc.add_RegistryServiceServicer_to_server,
            RegistryServicer(once, partition, versions_in, clock),
            SERVICES[2],
        )
        server.health.register("api", "database", database.check)
        server.health.register("api", "key_store", keys_database.check)
        server.health.register("api", following.name, following.check)
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


def _matching(
    server: ServerBuilder, database: Database, keys: KeyStore, partition: Partition, once: Once[Session], clock: Clock
) -> tuple[Explanations, list[Component]]:
    """Serve matchers, and return what explains and what goes on behind."""
    runner = OperationRunner(database, clock=clock)
    matchers, reviews, computing = MatcherStore(keys), ReviewQueue(), ChildComputing(database, keys)
    work = MatcherWork(
        TrainMatcher(partition, matchers, reviews, computing),
        PreviewMatcher(partition, matchers, computing, clock),
        clock,
    )
    runner.register(TRAIN, work.trained)
    runner.register(PREVIEW, work.previewed)
    server.add(
        matcher_pb2_grpc.add_MatcherServiceServicer_to_server,
        MatcherServicer(once, partition, matchers, SubmittedOperations(runner), clock),
        SERVICES[3],
    )
    server.add(
        operations_pb2_grpc.add_OperationsServicer_to_server,
        OperationsServicer(database, clock=clock),
        operations_pb2.DESCRIPTOR.services_by_name["Operations"],
    )
    keep = KeepMatchers(partition, matchers, (default_matcher_id(), default_matcher()))
    server.health.register("api", "matchers", keep.check)
    find = FindReviews(partition, reviews)
    explanations = Explanations(Explain(partition, matchers, RecordOrigins()), reviews, once, partition)
    return explanations, [
        runner,
        Stepping("matchers", keep.step, clock, share=0.5, commits=database.commits),
        Stepping(
            "reviews",
            Unhurried(find.step, partition.is_quiet, clock, at_least_every_s=_REVIEWS_EVERY_S),
            clock,
            share=0.2,
            commits=database.commits,
        ),
    ]
