"""Puts the consent service together: the only place that chooses real adapters."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from rapport.consent.v1 import (
    consent_pb2,
    consent_pb2_grpc,
    privacy_pb2,
    privacy_pb2_grpc,
    purpose_pb2,
    purpose_pb2_grpc,
    transparency_pb2,
    transparency_pb2_grpc,
)
from rapport_chassis.asgi.links import LinkSigner
from rapport_chassis.audit import AuditTrail
from rapport_chassis.auth.actor_tokens import ActorTokenVerifier
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_chassis.background import Stepping
from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.housekeeping import Housekeeping
from rapport_chassis.events import inbox
from rapport_chassis.events.consumer import Consumer
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.events.relay import Relay
from rapport_chassis.idempotency import RequestLog
from rapport_chassis.once import LoggedCalls, Once
from rapport_chassis.process import Assembly, Component
from rapport_chassis.rpc.health import ROLES, Role
from rapport_chassis.rpc.server import ServerBuilder
from rapport_chassis.signing import SigningKeys
from rapport_chassis.telemetry.setup import Telemetry
from rapport_privacy.follower import Follower, Timing
from rapport_privacy.freshness import Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.gate_watch import GateWatch
from rapport_privacy.notes import NoteKey
from rapport_privacy.participant.joining import participate
from rapport_privacy.replica import Replica

from rapport_consent.adapters.authority import Authority
from rapport_consent.adapters.feed import LedgerHints, LedgerReader
from rapport_consent.adapters.head import SharedHeads
from rapport_consent.adapters.ledger import LedgerStore
from rapport_consent.adapters.privacy_holding import ConsentHolding, known_from
from rapport_consent.adapters.receipts import Receipts
from rapport_consent.adapters.restoring import LedgerRestoring
from rapport_consent.adapters.transparency import TransparencyLog
from rapport_consent.adapters.transparency_audit import compare
from rapport_consent.definition import DEFINITION, SERVICE
from rapport_consent.domain.receipts import Controller
from rapport_consent.entrypoints.grpc import ConsentServicer
from rapport_consent.entrypoints.grpc_purposes import PurposeServicer
from rapport_consent.entrypoints.grpc_transparency import TransparencyServicer
from rapport_consent.entrypoints.imports import Imports
from rapport_consent.entrypoints.links import ReceiptLinks
from rapport_consent.entrypoints.ports import LedgerUnit
from rapport_consent.entrypoints.subscriptions import CONSUMER, PROFILE_EVENTS, Profiles
from rapport_consent.settings import ConsentSettings, LinkSettings

SERVICES = (
    consent_pb2.DESCRIPTOR.services_by_name["ConsentService"],
    purpose_pb2.DESCRIPTOR.services_by_name["PurposeService"],
    transparency_pb2.DESCRIPTOR.services_by_name["TransparencyService"],
    privacy_pb2.DESCRIPTOR.services_by_name["PrivacyRequestService"],
)
"""What it serves, the last where privacy requests are taken in."""

_LOG_SHARE = 0.5
_LOG_EVERY_S = 0.5


def build(settings: ConsentSettings, roles: tuple[Role, ...]) -> Assembly:
    """Return the process with these roles, nothing started yet."""
    clock = SystemClock()
    telemetry = Telemetry.start(
        settings.telemetry, service=SERVICE, version=DEFINITION.version, environment=settings.environment
    )
    database = Database(settings.database, service=SERVICE)
    nats = NatsConnection(settings.nats, user=SERVICE, clock=clock)
    policy = PermissionPolicy.load(settings.auth.policy_file)
    issuers = settings.auth.issuers_file
    tokens = ActorTokenVerifier(issuers, SERVICE, clock) if issuers else None

    ledger, heads = LedgerReader(database), SharedHeads(database)
    replica, freshness = Replica(), Freshness(bound_s=settings.gate.bound_s)
    gate = Gate(replica, freshness, clock)
    watch = GateWatch(gate, replica, telemetry.meter, clock)
    follower = Follower(
        replica,
        freshness,
        heads=heads,
        changes=ledger,
        snapshots=ledger,
        clock=clock,
        timing=Timing(head_every_s=settings.gate.head_every_s, fill_after_s=0),
        report=watch.report,
    )

    store = LedgerStore(database, follower.offer)
    requests, trail = RequestLog(), AuditTrail(clock)
    keys = SigningKeys.load(settings.signing_folder, clock)
    witnesses = [NoteKey.parse(text) for text in settings.log_witnesses]
    log = TransparencyLog(database, keys, origin=settings.log_origin, witnesses=witnesses)
    once: Once[LedgerUnit] = Once(store.unit, lambda unit: LoggedCalls(unit.connection, requests, trail))
    server = ServerBuilder(
        settings.grpc,
        service=SERVICE,
        telemetry=telemetry,
        policy=policy,
        tokens=tokens,
        clock=clock,
        roles=roles,
        declared=(SERVICES if settings.requests is not None else SERVICES[:-1]) if "api" in roles else (),
    )
    links = _links(settings.links, clock) if settings.links and settings.http else None
    parts = None
    if settings.requests is not None:
        from rapport_consent.bootstrap_requests import privacy_requests

        parts = privacy_requests(
            settings,
            settings.requests,
            database=database,
            ledger=store,
            log=log,
            keys=keys,
            requests=requests,
            trail=trail,
            nats=nats,
            telemetry=telemetry,
            release=DEFINITION.version,
            clock=clock,
            signer=links.signer if links else None,
        )
    http = None
    answering: list[Component] = []
    if "api" in roles:
        answering = [follower, LedgerHints(database, follower.hint, clock, store.is_writing), watch]
        receipts = Receipts(database, keys, Controller(**settings.controller.model_dump()))
        if links is not None and settings.http is not None:
            # Slow to import, and needed where links are given only.
            from rapport_chassis.asgi.server import HttpServer

            from rapport_consent.entrypoints.http import routes
            from rapport_consent.entrypoints.http_packages import package_routes

            served = routes(receipts, log, links)
            if parts is not None and parts.links is not None:
                served += package_routes(parts.store, parts.packages, parts.links, trail)
            http = HttpServer(settings.http, served, telemetry=telemetry)
        servicer = ConsentServicer(
            once=once,
            store=store,
            imports=Imports(store, clock, settings.import_pause_s),
            gate=gate,
            replica=replica,
            authority=Authority(database, clock),
            heads=heads,
            ledger=ledger,
            receipts=receipts,
            log=log,
            links=links,
            clock=clock,
            production=settings.environment == "production",
        )
        server.add(
            consent_pb2_grpc.add_ConsentServiceServicer_to_server,
            servicer,
            SERVICES[0],
        )
        server.add(
            purpose_pb2_grpc.add_PurposeServiceServicer_to_server,
            PurposeServicer(once, store, clock),
            SERVICES[1],
        )
        server.add(
            transparency_pb2_grpc.add_TransparencyServiceServicer_to_server,
            TransparencyServicer(log, partial(compare, database)),
            SERVICES[2],
        )
        if parts is not None:
            server.add(
                privacy_pb2_grpc.add_PrivacyRequestServiceServicer_to_server,
                parts.servicer,
                SERVICES[3],
            )
        server.health.register("api", "database", database.check)
        server.health.register("api", "consent_replica", watch.check)
    consumer = Consumer(
        CONSUMER,
        "identity",
        Profiles(store, parts.store if parts else None, clock).handle,
        context=SERVICE,
        events=PROFILE_EVENTS,
        nats=nats,
        database=database,
        telemetry=telemetry,
        release=DEFINITION.version,
        clock=clock,
    )
    taking_part = participate(
        SERVICE,
        settings.privacy,
        ConsentHolding(),
        server=server,
        roles=roles,
        database=database,
        nats=nats,
        ledger=known_from(database),
        telemetry=telemetry,
        release=DEFINITION.version,
        clock=clock,
    )
    restoring = LedgerRestoring(database, store, settings.nats, SERVICE, clock)
    for role in ROLES:
        server.health.register(role, restoring.name, restoring.check)
    relay = Relay(SERVICE, database=database, nats=settings.nats, telemetry=telemetry, clock=clock)
    sweeper = Housekeeping(
        database, [requests.sweep, inbox.sweep, *(parts.sweeps if parts else ())], clock=clock, role="relay"
    )
    logging = Stepping(
        "transparency-log",
        log.extend,
        clock,
        share=_LOG_SHARE,
        idle_s=_LOG_EVERY_S,
        role="relay",
        commits=database.commits,
    )
    for reading in (consumer, *(parts.consumers if parts else ())):
        server.health.register("events", reading.name, reading.check)
    server.health.register("relay", relay.name, relay.check)
    return Assembly(
        telemetry=telemetry,
        server=server.build(),
        roles=roles,
        drain_s=settings.grpc.drain_s,
        database=database,
        nats=nats,
        http=http,
        components=[
            *answering,
            restoring,
            consumer,
            *taking_part,
            relay,
            sweeper,
            logging,
            *(parts.components if parts else ()),
        ],
    )


def _links(settings: LinkSettings, clock: Clock) -> ReceiptLinks:
    keys = [bytes.fromhex(line) for line in settings.keys_file.read_text(encoding="ascii").split()]
    return ReceiptLinks(LinkSigner(keys, clock=clock), clock, timedelta(seconds=settings.valid_for_s))
