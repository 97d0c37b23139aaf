"""Makes a service a participant of privacy requests: one call in its bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

from rapport.common.v1 import participant_pb2_grpc
from rapport.consent.v1 import events_pb2
from rapport_chassis.background import Stepping
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.events.consumer import Consumer
from rapport_chassis.events.eraser import Eraser
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.process import Component
from rapport_chassis.rpc.health import ROLES, Role
from rapport_chassis.rpc.server import ServerBuilder
from rapport_chassis.signing import SigningKeys
from rapport_chassis.telemetry.setup import Telemetry

from rapport_privacy.participant.holding import Holding
from rapport_privacy.participant.ledger import Ledger
from rapport_privacy.participant.participant import Participant
from rapport_privacy.participant.replaying import AfterRestore
from rapport_privacy.participant.retention import EVERY_S, Retention
from rapport_privacy.participant.servicer import SERVICE, ParticipantServicer
from rapport_privacy.settings import ParticipantSettings


def consumer_name(service: str) -> str:
    """Return the durable consumer by which a service takes tasks: declare it in deploy/nats/consumers.yaml."""
    return f"{service}-privacy"


def participate(
    service: str,
    settings: ParticipantSettings | None,
    holding: Holding,
    *,
    server: ServerBuilder,
    roles: Sequence[Role],
    database: Database,
    nats: NatsConnection,
    ledger: Ledger,
    telemetry: Telemetry,
    release: str,
    clock: Clock,
) -> list[Component]:
    """Serve ParticipantService, register health checks, and return what is to run beside the service's own components.

    Args:
        service: Name of the service.
        settings: Its keys and its eraser; None: the service takes part in no request.
        holding: What it holds.
        server: Gets the service, in processes with the role `api`.
        roles: The roles of this process; tasks are worked at in the role `events`.
        database: Where the tables of `create_participant_tables_v1` are.
        nats: The connection.
        ledger: How far the ledger is known: `known_by(gate)`.
        telemetry: Records what is handled.
        release: Release of the service.
        clock: The time.
    """
    if settings is None:
        return []
    keys = SigningKeys.load(settings.signing_folder, clock)
    if "api" in roles:
        servicer = ParticipantServicer(service, database, holding, keys)
        server.add(participant_pb2_grpc.add_ParticipantServiceServicer_to_server, servicer, SERVICE)
    own = nats.settings if settings.eraser is None else nats.settings.model_copy(update={"tls": settings.eraser})
    eraser = Eraser(service, database=database, nats=own)
    participant = Participant(
        service,
        database=database,
        holding=holding,
        eraser=eraser,
        keys=keys,
        ledger=ledger,
        clock=clock,
    )
    consumer = Consumer(
        consumer_name(service),
        "consent",
        participant.handle,
        context=service,
        events=[events_pb2.PrivacyTaskRequested],
        nats=nats,
        database=database,
        telemetry=telemetry,
        release=release,
        clock=clock,
    )
    restored = AfterRestore(database, holding, eraser, ledger, clock)
    for role in ROLES:
        server.health.register(role, "erasures-replayed", restored.check)
    server.health.register("events", consumer.name, consumer.check)
    server.health.register("events", "privacy-tasks", participant.check)
    commits = database.commits
    working = Stepping(
        "privacy-tasks",
        participant.step,
        clock,
        share=0.9,
        idle_s=settings.look_every_s,
        role="events",
        commits=commits,
    )
    replaying = Stepping("erasures-replayed", restored.step, clock, share=0.9, role="events", commits=commits)
    keeping = Stepping(
        "retention", Retention(holding, database, clock).step, clock, share=0.5, idle_s=EVERY_S, role="relay"
    )
    return [consumer, working, replaying, keeping]
