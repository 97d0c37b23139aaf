"""Puts the pricing service together: the only place that chooses real adapters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from google.protobuf.message import Message
from rapport.pricing.v1 import (
    catalog_pb2,
    catalog_pb2_grpc,
    experiments_pb2,
    experiments_pb2_grpc,
    pricing_pb2,
    pricing_pb2_grpc,
)
from rapport_chassis.audit import AuditTrail
from rapport_chassis.auth.actor_tokens import ActorTokenVerifier
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_chassis.background import Stepping
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.housekeeping import Housekeeping
from rapport_chassis.events import inbox
from rapport_chassis.events.consumer import Consumer
from rapport_chassis.events.intake import Concerns, Handler, any_event
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.events.relay import Relay
from rapport_chassis.idempotency import RequestLog
from rapport_chassis.once import LoggedCalls, Once
from rapport_chassis.process import Assembly, Component
from rapport_chassis.rpc.health import Role
from rapport_chassis.rpc.server import ServerBuilder
from rapport_chassis.rpc.servicer import servicer_of
from rapport_chassis.signing import SigningKeys
from rapport_chassis.telemetry.setup import Telemetry
from rapport_privacy.embedded import ConsentGate
from rapport_privacy.freshness import Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.participant.joining import participate
from rapport_privacy.participant.ledger import known_by
from rapport_privacy.participant.living import of_the_living
from rapport_privacy.replica import Replica
from rapport_privacy.translate import decision_message

from rapport_pricing.adapters.allocating import AllocateArms
from rapport_pricing.adapters.following import Following
from rapport_pricing.adapters.holding import HeldQuotes
from rapport_pricing.adapters.journal import Journal, SweepDecisions
from rapport_pricing.adapters.learning_step import LearnPrices
from rapport_pricing.adapters.privacy_holding import PricingHolding
from rapport_pricing.adapters.reservations import Reservations
from rapport_pricing.adapters.sweeps import SweepOutcomes, forget_released, lapse_reservations
from rapport_pricing.adapters.units import Store
from rapport_pricing.adapters.upkeep import AnswerRisks, EndOffers
from rapport_pricing.app.limits import DatedLaws
from rapport_pricing.app.people import LedgerPeople
from rapport_pricing.app.quoting import MakeQuotes
from rapport_pricing.app.retention import Retain
from rapport_pricing.definition import DEFINITION, SERVICE
from rapport_pricing.domain.law import shipped_law
from rapport_pricing.entrypoints.grpc_catalog import CatalogDesk
from rapport_pricing.entrypoints.grpc_experiments import ExperimentDesk
from rapport_pricing.entrypoints.grpc_learning import LearningDesk
from rapport_pricing.entrypoints.grpc_offers import OfferDesk
from rapport_pricing.entrypoints.grpc_orders import Orders
from rapport_pricing.entrypoints.grpc_quotes import Quotes
from rapport_pricing.entrypoints.grpc_reviews import ReviewDesk
from rapport_pricing.entrypoints.ports import Unit
from rapport_pricing.entrypoints.subscriptions import (
    CONSUMER,
    PEOPLE_CONSUMER,
    PEOPLE_EVENTS,
    RETURNS_CONSUMER,
    RETURNS_EVENTS,
    RISK_EVENTS,
    People,
    Returns,
    Risks,
)
from rapport_pricing.settings import PricingSettings

SERVICES = (
    catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"],
    pricing_pb2.DESCRIPTOR.services_by_name["PricingService"],
    experiments_pb2.DESCRIPTOR.services_by_name["ExperimentService"],
)
"""What it serves."""


def build(settings: PricingSettings, roles: tuple[Role, ...]) -> Assembly:
    """Return the process with these roles, nothing started yet."""
    clock = SystemClock()
    telemetry = Telemetry.start(
        settings.telemetry, service=SERVICE, version=DEFINITION.version, environment=settings.environment
    )
    database = Database(settings.database, service=SERVICE)
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
    laws = DatedLaws(shipped_law())
    following = Following(database, laws, telemetry.meter)
    store = Store(database, lambda: following.shelf.rules)
    requests, trail = RequestLog(), AuditTrail(clock)
    once: Once[Unit] = Once(store.unit, lambda unit: LoggedCalls(unit.connection, requests, trail))
    answering: list[Component] = []
    purpose_id = settings.personal.purpose_id
    asking = {"api", "events"} & set(roles)
    gate = None
    if asking and settings.gate is not None:
        gate = ConsentGate(settings.gate, telemetry=telemetry, nats=nats, clock=clock)
        answering.append(gate)
    replica = gate.replica if gate is not None else Replica()
    permits = gate or Gate(replica, Freshness(), clock)  # one that never knows anything denies as stale
    people = LedgerPeople(replica)
    looks: Role = "api" if "api" in roles else "events"
    commits = database.commits
    answering.append(
        Stepping(
            "catalogue", following.step, clock, share=0.5, idle_s=settings.look_every_s, role=looks, commits=commits
        )
    )
    if "api" in roles:
        keys = SigningKeys.load(settings.signing_folder, clock)
        journal = Journal(database, telemetry.meter, clock)
        make = MakeQuotes(
            following.ready,
            permits,
            keys,
            HeldQuotes(Reservations(database), people),
            people.ids_of,
            purpose_id,
            clock,
        )
        answering.append(journal)
        server.add(
            pricing_pb2_grpc.add_PricingServiceServicer_to_server,
            servicer_of(
                pricing_pb2_grpc.PricingServiceServicer,
                SERVICES[1],
                Quotes(make, journal, store, laws),
                Orders(once, keys, journal, following.ready, people, following.step, clock),
                ReviewDesk(once, store, journal, clock),
                OfferDesk(once, store, permits, people, purpose_id, following.step, clock),
            ),
            SERVICES[1],
        )
        server.add(
            catalog_pb2_grpc.add_CatalogServiceServicer_to_server,
            servicer_of(
                catalog_pb2_grpc.CatalogServiceServicer,
                SERVICES[0],
                CatalogDesk(once, store, laws, following.step, clock),
                LearningDesk(once, store, laws, timedelta(days=settings.outcomes_kept_days)),
            ),
            SERVICES[0],
        )
        server.add(
            experiments_pb2_grpc.add_ExperimentServiceServicer_to_server,
            ExperimentDesk(once, store, following.ready, people, following.step, clock),
            SERVICES[2],
        )
        server.health.register("api", "database", database.check)
        server.health.register("api", "catalogue", following.check)
    retain = Retain(
        settings.retention.rule() if settings.retention is not None else None,
        permits,
        people,
        purpose_id,
        lambda decision: decision_message(decision).SerializeToString(),
    )
    returns = Returns(store, clock)
    handlers: list[tuple[str, str, Handler, Sequence[type[Message]], Concerns]] = [
        (CONSUMER, "churn", of_the_living(Risks(retain, store).handle, RISK_EVENTS), RISK_EVENTS, any_event),
        (PEOPLE_CONSUMER, "consent", People(store, clock).handle, PEOPLE_EVENTS, any_event),
        (RETURNS_CONSUMER, "identity", returns.handle, RETURNS_EVENTS, returns.concerns),
    ]
    consumers = [
        Consumer(
            name,
            stream,
            handler,
            context=SERVICE,
            events=events,
            nats=nats,
            database=database,
            telemetry=telemetry,
            release=DEFINITION.version,
            concerns=concerns,
            clock=clock,
        )
        for name, stream, handler, events, concerns in handlers
    ]
    ending = EndOffers(database, store, permits, purpose_id, clock)
    look_s = settings.personal.look_every_s
    offers = Stepping("offers", ending.step, clock, share=0.2, idle_s=look_s, role="events", commits=commits)
    answers = AnswerRisks(database, store, retain)
    waiting = Stepping("risks", answers.step, clock, share=0.2, idle_s=look_s, role="events", commits=commits)
    learning = LearnPrices(database, store, laws, following.step, telemetry.meter, clock)
    learns = Stepping(
        "learning", learning.step, clock, share=0.2, idle_s=settings.learn_every_s, role="events", commits=commits
    )
    allocating = AllocateArms(database, store, lambda: following.shelf.rules, following.step, clock)
    allocates = Stepping("experiments", allocating.step, clock, share=0.1, role="events", commits=commits)
    for consumer in consumers:
        server.health.register("events", consumer.name, consumer.check)
    answering += participate(
        SERVICE,
        settings.privacy,
        PricingHolding(settings.personal.receipts_kept_years),
        server=server,
        roles=roles,
        database=database,
        nats=nats,
        ledger=known_by(gate),
        telemetry=telemetry,
        release=DEFINITION.version,
        clock=clock,
    )
    relay = Relay(SERVICE, database=database, nats=settings.nats, telemetry=telemetry, clock=clock)
    sweeper = Housekeeping(
        database,
        [
            requests.sweep,
            inbox.sweep,
            SweepDecisions(timedelta(days=settings.personal.decisions_kept_days)),
            lapse_reservations,
            forget_released,
            SweepOutcomes(timedelta(days=settings.outcomes_kept_days)),
        ],
        clock=clock,
        role="relay",
    )
    server.health.register("relay", relay.name, relay.check)
    return Assembly(
        telemetry=telemetry,
        server=server.build(),
        roles=roles,
        drain_s=settings.grpc.drain_s,
        database=database,
        nats=nats,
        components=[*answering, *consumers, offers, waiting, learns, allocates, relay, sweeper],
    )
