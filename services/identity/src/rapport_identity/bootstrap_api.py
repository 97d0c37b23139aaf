"""Puts together what answers calls, and what goes on behind them."""

from __future__ import annotations

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
from rapport_chassis.background import Stepping, Unhurried
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.once import Once
from rapport_chassis.operations import OperationRunner, OperationsServicer
from rapport_chassis.process import Component
from rapport_chassis.rpc.server import ServerBuilder
from rapport_chassis.rpc.servicer import servicer_of
from rapport_chassis.telemetry.setup import Telemetry
from rapport_privacy.embedded import ConsentGate
from rapport_privacy.freshness import Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.permits import Permits
from rapport_privacy.replica import Replica

from rapport_identity.adapters.anniversaries import AnniversaryRounds
from rapport_identity.adapters.computing import ChildComputing
from rapport_identity.adapters.contact_ids import ContactIds
from rapport_identity.adapters.declarations import DecidedDeclarations, versions_in
from rapport_identity.adapters.id_map import IdMapReader
from rapport_identity.adapters.key_pool import KeyPool
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.loading import IndexLoader, RecordLoader
from rapport_identity.adapters.matcher_store import MatcherStore
from rapport_identity.adapters.operations import SubmittedOperations
from rapport_identity.adapters.origins import RecordOrigins
from rapport_identity.adapters.parking import ParkedRecords
from rapport_identity.adapters.partition import PartitionStore
from rapport_identity.adapters.resolving import ResolvingUnits
from rapport_identity.adapters.reviews import ReviewQueue
from rapport_identity.adapters.suppressions import Suppressions
from rapport_identity.adapters.touchpoints import OutboxBacklog, TouchpointFacts
from rapport_identity.adapters.undecided import UndecidedPurposes
from rapport_identity.adapters.upkeep import Following, Intake
from rapport_identity.adapters.zones import zones_of
from rapport_identity.app.anniversaries import TellAnniversaries
from rapport_identity.app.batcher import Batcher
from rapport_identity.app.contact_points import GetContactPoints
from rapport_identity.app.declarations import Registry
from rapport_identity.app.explain import Explain
from rapport_identity.app.parked import TakeUpParked
from rapport_identity.app.partition import Partition, Session
from rapport_identity.app.ports import KeyStore
from rapport_identity.app.preview import PreviewMatcher
from rapport_identity.app.records import TakeInRecords
from rapport_identity.app.resolve import ResolveRecords
from rapport_identity.app.reviews import FindReviews
from rapport_identity.app.take_over import KeepMatchers
from rapport_identity.app.touchpoints import IngestTouchpoints
from rapport_identity.app.train import TrainMatcher
from rapport_identity.app.undecided import DecideLater
from rapport_identity.domain.defaults import default_matcher, default_matcher_id
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
from rapport_identity.translate.touchpoints import sighting

SERVICES: Final = (
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


def answer_calls(
    settings: IdentitySettings,
    server: ServerBuilder,
    *,
    database: Database,
    store: PartitionStore,
    keys: PostgresKeyStore,
    suppressions: Suppressions,
    gate: ConsentGate | None,
    telemetry: Telemetry,
    clock: Clock,
) -> list[Component]:
    """Have a server answer calls, and return what goes on behind them, in the order in which it is started."""
    units = ResolvingUnits(store, keys, clock)
    partition = Partition(units, IndexLoader(RecordLoader(database, keys)), default_matcher(), default_matcher_id())
    once = Once(partition.session, lambda session: session.unit)
    permits = gate or Gate(Replica(), Freshness(), clock)  # one that never knows anything denies as stale
    registry = Registry(DecidedDeclarations())
    pool = KeyPool(keys, clock)
    resolve = ResolveRecords(partition, pool)
    take_in = TakeInRecords(partition, resolve, registry=registry, gate=permits, erased=suppressions, clock=clock)
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
    records = Batcher(SingleRecords(partition, take_in))
    touchpoints = Batcher(SingleTouchpoints(partition, ingest))
    following = Following(partition, settings.refresh_every_s, database.commits, telemetry.meter)
    explanations, matching = _matching(server, database, keys, partition, once, clock)
    server.add(
        identity_pb2_grpc.add_IdentityServiceServicer_to_server,
        servicer_of(
            identity_pb2_grpc.IdentityServiceServicer,
            SERVICES[0],
            Records(records, take_in, partition, Validator(), clock),
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
            touchpoints,
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
    server.health.register("api", following.name, following.check)
    return [
        following,
        *matching,
        _anniversaries(settings, partition, permits, telemetry, clock),
        Stepping("parked", TakeUpParked(partition, ParkedRecords()).step, clock, share=0.5, commits=database.commits),
        Stepping(
            "undecided",
            DecideLater(partition, UndecidedPurposes(), registry=registry, gate=permits, clock=clock).step,
            clock,
            share=0.5,
            commits=database.commits,
            overdue_s=_UNDECIDED_EVERY_S,
        ),
        Intake(records.close, touchpoints.close, pool.close),
    ]


def _anniversaries(
    settings: IdentitySettings, partition: Partition, permits: Permits, telemetry: Telemetry, clock: Clock
) -> Component:
    """Return what tells of days to congratulate on."""
    tell = TellAnniversaries(
        partition,
        AnniversaryRounds(),
        permits,
        purpose_id=settings.anniversaries.purpose_id,
        zones=zones_of,
        clock=clock,
        every_s=settings.anniversaries.look_every_s,
        on_told=telemetry.meter.counter(ANNIVERSARIES).of().add,
    )
    return Stepping("anniversaries", tell.step, clock, share=0.2)


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
