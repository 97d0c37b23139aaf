"""Puts the churn service together: the only place that chooses real adapters."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from google.longrunning import operations_pb2, operations_pb2_grpc
from rapport.churn.v1 import churn_pb2, churn_pb2_grpc, model_pb2, model_pb2_grpc
from rapport.consent.v1 import ledger_pb2
from rapport_chassis.audit import AuditTrail
from rapport_chassis.auth.actor_tokens import ActorTokenVerifier
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_chassis.background import Stepping
from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.housekeeping import Housekeeping, Sweep
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import inbox
from rapport_chassis.events.eraser import Eraser
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.events.relay import Relay
from rapport_chassis.idempotency import RequestLog
from rapport_chassis.once import LoggedCalls, Once
from rapport_chassis.operations import OperationRunner, OperationsServicer
from rapport_chassis.process import Assembly, Component
from rapport_chassis.rpc.health import Role
from rapport_chassis.rpc.server import ServerBuilder
from rapport_chassis.telemetry.setup import Telemetry
from rapport_privacy.embedded import ConsentGate
from rapport_privacy.freshness import Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.participant.joining import participate
from rapport_privacy.participant.ledger import known_by
from rapport_privacy.replica import Replica

from rapport_churn.adapters.held_facts import ReleasedFacts
from rapport_churn.adapters.holdings import DatabaseHoldings
from rapport_churn.adapters.journal import Journal, SweepDecisions
from rapport_churn.adapters.log import FactLog
from rapport_churn.adapters.models import DatabaseModels
from rapport_churn.adapters.monitoring import Monitoring
from rapport_churn.adapters.privacy_holding import ChurnHolding
from rapport_churn.adapters.ranks import Ranks
from rapport_churn.adapters.registry import Registry
from rapport_churn.adapters.reviews import ScoreReviews
from rapport_churn.adapters.rounds import DatabaseRounds
from rapport_churn.adapters.scorers import load
from rapport_churn.adapters.serving import Roles, StoreModel
from rapport_churn.adapters.stream_care import StreamCare
from rapport_churn.adapters.teaching import RegisteredTeaching, Renewing, Settled
from rapport_churn.adapters.upkeep import Following, Holdout
from rapport_churn.adapters.workshop import TrainingWorkshop
from rapport_churn.app.erasures import Renewal
from rapport_churn.app.people import LedgerPeople
from rapport_churn.app.rescoring import Rescoring
from rapport_churn.app.scores import ScoreProfiles
from rapport_churn.app.states import States
from rapport_churn.app.train import TrainModel
from rapport_churn.app.withdrawals import Withdrawals
from rapport_churn.bootstrap_intake import consumers_of
from rapport_churn.definition import DEFINITION, SERVICE
from rapport_churn.domain.features import DEFAULT_FEATURES
from rapport_churn.domain.vectors import Plan
from rapport_churn.entrypoints.grpc_models import TRAIN, ModelServicer, ModelWork
from rapport_churn.entrypoints.grpc_scores import ChurnServicer
from rapport_churn.settings import ChurnSettings
from rapport_churn.telemetry import TELLINGS, VOIDED
from rapport_churn.translate.changes import change_of
from rapport_churn.translate.scores import Scores

SERVICES: Final = (
    churn_pb2.DESCRIPTOR.services_by_name["ChurnService"],
    model_pb2.DESCRIPTOR.services_by_name["ModelService"],
)
"""What it serves."""

_LOOK_AT_WITHDRAWALS_S: Final = 0.05
_LOOK_AT_MESSAGES_S: Final = 0.5
_LOOK_AT_HOLDS_S: Final = 0.5
_HOLDS_END_S: Final = 60.0
_LOOK_AT_WORKS_S: Final = 2.0
_LOOK_AT_MODELS_S: Final = 2.0
_TRY_AGAIN_AFTER: Final = timedelta(minutes=10)


class _Watch:
    """Hands changes of the ledger to whoever looks after withdrawals, once that is there."""

    def __init__(self) -> None:
        self.withdrawals: Withdrawals | None = None

    def __call__(self, change: ledger_pb2.LedgerChange) -> None:
        if self.withdrawals is not None:
            self.withdrawals.observe(change_of(change))


def build(settings: ChurnSettings, roles: tuple[Role, ...]) -> Assembly:
    """Return the process with these roles, nothing started yet."""
    clock = SystemClock()
    telemetry = Telemetry.start(
        settings.telemetry, service=SERVICE, version=DEFINITION.version, environment=settings.environment
    )
    meter, profiling = telemetry.meter, settings.profiling
    database = Database(settings.database, service=SERVICE)
    nats = NatsConnection(settings.nats, user=SERVICE, clock=clock)
    issuers = settings.auth.issuers_file
    server = ServerBuilder(
        settings.grpc,
        service=SERVICE,
        telemetry=telemetry,
        policy=PermissionPolicy.load(settings.auth.policy_file),
        tokens=ActorTokenVerifier(issuers, SERVICE, clock) if issuers else None,
        clock=clock,
        roles=roles,
        declared=SERVICES if "api" in roles else (),
    )
    watch = _Watch()
    gate = (
        ConsentGate(settings.gate, telemetry=telemetry, nats=nats, clock=clock, observe=watch)
        if settings.gate
        else None
    )
    replica = gate.replica if gate is not None else Replica()
    permits = gate or Gate(replica, Freshness(), clock)  # one that never knows anything denies as stale
    people = LedgerPeople(replica)
    log = FactLog(database)
    states = States(log, Plan(DEFAULT_FEATURES), profiling.states_most)
    following = Following(states, profiling.look_every_s, database.commits, meter)
    holdout = Holdout(database, profiling.holdout_share, clock)
    journal = Journal(database, meter, clock)
    registry = Registry(settings.models.folder)
    teaching = RegisteredTeaching(registry)
    models = Roles(database, registry, teaching, load, settings.models.look_every_s, meter, clock)
    score = ScoreProfiles(permits, people, states, models, holdout, clock, profiling.purpose_id, profiling.brand_id)
    scores = Scores(profiling.currency)
    holdings = DatabaseHoldings(database, log, states, journal, meter.counter(VOIDED), clock)
    withdrawals = Withdrawals(
        permits,
        people,
        replica,
        holdings,
        clock,
        purpose_id=profiling.purpose_id,
        brand_id=profiling.brand_id,
    )
    watch.withdrawals = withdrawals
    components: list[Component] = [
        *([gate] if gate is not None else []),
        following,
        holdout,
        journal,
        models,
        Stepping("withdrawals", withdrawals.step, clock, share=0.5, idle_s=_LOOK_AT_WITHDRAWALS_S, role="relay"),
        Stepping(
            "held-facts",
            ReleasedFacts(database, score.everybody, replica, clock).step,
            clock,
            share=0.5,
            idle_s=_LOOK_AT_HOLDS_S,
            role="relay",
            commits=database.commits,
            overdue_s=_HOLDS_END_S,
        ),
    ]
    if "api" in roles:
        components += _serve(
            settings, server, database, score, scores, journal, registry, models, teaching, replica, clock
        )
    if "events" in roles:
        rounds = DatabaseRounds(database, scores, meter.counter(TELLINGS), telemetry.tracer)
        every = timedelta(hours=settings.rescoring.every_hours)
        rescoring = Rescoring(score, rounds, settings.risk.policy(), every=every)
        components.append(
            Stepping(
                "rescoring",
                rescoring.step,
                clock,
                share=settings.rescoring.share,
                idle_s=0.2,
                role="events",
                commits=database.commits,
            )
        )
        for consumer in consumers_of(settings, database, nats, telemetry, log, permits, clock):
            server.health.register("events", consumer.name, consumer.check)
            components.append(consumer)
    relay = Relay(SERVICE, database=database, nats=settings.nats, telemetry=telemetry, clock=clock)
    kept_for = timedelta(days=profiling.decisions_kept_days)
    sweeps: list[Sweep] = [RequestLog().sweep, inbox.sweep, SweepDecisions(kept_for)]
    components += [relay, Housekeeping(database, sweeps, clock=clock, role="relay")]
    workshop = TrainingWorkshop(database, settings.models.work_folder)
    components += participate(
        SERVICE,
        settings.privacy,
        ChurnHolding(holdings, workshop.forget, profiling.purpose_id, kept_for),
        server=server,
        roles=roles,
        database=database,
        nats=nats,
        ledger=known_by(gate),
        telemetry=telemetry,
        release=DEFINITION.version,
        clock=clock,
    )
    if settings.eraser is not None:
        own = settings.nats.model_copy(update={"tls": settings.eraser})
        care = StreamCare(database, Eraser(SERVICE, database=database, nats=own), clock)
        components.append(
            Stepping(
                "messages",
                care.step,
                clock,
                share=0.5,
                idle_s=_LOOK_AT_MESSAGES_S,
                role="relay",
                commits=database.commits,
            )
        )
        server.health.register("relay", "messages", care.check)
    server.health.register("relay", relay.name, relay.check)
    return Assembly(
        telemetry=telemetry,
        server=server.build(),
        roles=roles,
        drain_s=settings.grpc.drain_s,
        database=database,
        nats=nats,
        components=components,
    )


def _serve(
    settings: ChurnSettings,
    server: ServerBuilder,
    database: Database,
    score: ScoreProfiles,
    scores: Scores,
    journal: Journal,
    registry: Registry,
    models: Roles,
    teaching: RegisteredTeaching,
    replica: Replica,
    clock: Clock,
) -> list[Component]:
    """Serve calls, and return what goes on behind."""
    requests, trail = RequestLog(), AuditTrail()
    once: Once[Connection] = Once(database.transaction, lambda each: LoggedCalls(each, requests, trail))
    runner = OperationRunner(database, clock=clock)
    workshop = TrainingWorkshop(database, settings.models.work_folder)
    profiling = settings.profiling
    train = TrainModel(
        workshop,
        score.permits,
        replica,
        clock,
        profiling.purpose_id,
        profiling.brand_id,
        settings.models.effort.model_dump(),
    )
    store = StoreModel(database, registry, load, models, clock)
    settled = Settled(database, registry)
    runner.register(TRAIN, ModelWork(train, settled, workshop.clear, store, clock).trained)
    renewal = Renewal(teaching, wait=timedelta(seconds=settings.models.renew_after_s), again_after=_TRY_AGAIN_AFTER)
    renewing = Renewing(renewal, database, runner, TRAIN, registry, clock)
    monitoring = Monitoring(database, registry, score.everybody, clock)
    server.add(
        churn_pb2_grpc.add_ChurnServiceServicer_to_server,
        ChurnServicer(score, scores, DEFAULT_FEATURES, journal, Ranks(database), once, database, ScoreReviews),
        SERVICES[0],
    )
    server.add(
        model_pb2_grpc.add_ModelServiceServicer_to_server,
        ModelServicer(once, database, DatabaseModels, registry, models, runner, teaching, monitoring, clock),
        SERVICES[1],
    )
    server.add(
        operations_pb2_grpc.add_OperationsServicer_to_server,
        OperationsServicer(database, clock=clock),
        operations_pb2.DESCRIPTOR.services_by_name["Operations"],
    )
    server.health.register("api", "database", database.check)
    server.health.register("api", models.name, models.check)
    return [
        runner,
        Stepping("workshop", workshop.step, clock, share=0.1, idle_s=_LOOK_AT_WORKS_S),
        Stepping("renewal", renewing.step, clock, share=0.1, idle_s=_LOOK_AT_MODELS_S),
    ]
