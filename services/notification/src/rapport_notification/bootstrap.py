"""Puts the notification service together: the only place that chooses real adapters."""

from __future__ import annotations

from rapport.notification.v1 import (
    notification_pb2,
    notification_pb2_grpc,
    preference_pb2,
    preference_pb2_grpc,
    template_pb2,
    template_pb2_grpc,
)
from rapport_chassis.asgi.links import LinkSigner
from rapport_chassis.audit import AuditTrail
from rapport_chassis.auth.actor_tokens import ActorTokenVerifier
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.housekeeping import Housekeeping
from rapport_chassis.events import inbox
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.events.relay import Relay
from rapport_chassis.idempotency import RequestLog
from rapport_chassis.once import LoggedCalls, Once
from rapport_chassis.process import Assembly, Component
from rapport_chassis.rpc.health import Role
from rapport_chassis.rpc.server import ServerBuilder
from rapport_chassis.rpc.servicer import servicer_of
from rapport_chassis.telemetry.setup import Telemetry
from rapport_privacy.embedded import ConsentGate
from rapport_privacy.freshness import Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.participant.joining import participate
from rapport_privacy.participant.ledger import known_by
from rapport_privacy.replica import Replica

from rapport_notification.adapters import sweeping
from rapport_notification.adapters.keys import load_keys
from rapport_notification.adapters.privacy_holding import NotificationHolding
from rapport_notification.adapters.sealing import Sealer
from rapport_notification.adapters.templates import TemplateShelf
from rapport_notification.adapters.units import Store
from rapport_notification.adapters.writing import Writing
from rapport_notification.app.accepting import Accepting
from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.previewing import Preview
from rapport_notification.app.waking import Wake
from rapport_notification.assembly import Parts
from rapport_notification.definition import DEFINITION, SERVICE
from rapport_notification.delivery import Closing, furnish_channels, furnish_dispatch, poster_of
from rapport_notification.domain.vocabulary import Channel
from rapport_notification.edge import EDGE_SERVICES, furnish_edge
from rapport_notification.entrypoints.grpc_messages import MessageDesk
from rapport_notification.entrypoints.grpc_preferences import PreferenceServicer
from rapport_notification.entrypoints.grpc_templates import TemplateServicer
from rapport_notification.entrypoints.ports import Unit
from rapport_notification.reference import load_quiet_hours
from rapport_notification.sending.return_path import ReturnPaths
from rapport_notification.sending.unsubscribe import UnsubscribeLinks
from rapport_notification.settings import NotificationSettings
from rapport_notification.templates.worker import RenderWorker
from rapport_notification.translate.contents import values_in

SERVICES = (
    notification_pb2.DESCRIPTOR.services_by_name["NotificationService"],
    template_pb2.DESCRIPTOR.services_by_name["TemplateService"],
    preference_pb2.DESCRIPTOR.services_by_name["PreferenceService"],
    *EDGE_SERVICES,
)
"""What it serves."""


def build(settings: NotificationSettings, roles: tuple[Role, ...]) -> Assembly:
    """Return the process with these roles, nothing started yet."""
    clock = SystemClock()
    telemetry = Telemetry.start(
        settings.telemetry, service=SERVICE, version=DEFINITION.version, environment=settings.environment
    )
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
    components: list[Component] = []
    gate = None
    if settings.gate is not None:
        gate = ConsentGate(settings.gate, telemetry=telemetry, nats=nats, clock=clock)
        components.append(gate)
    replica = gate.replica if gate is not None else Replica()
    permits = gate or Gate(replica, Freshness(), clock)  # one that never knows anything denies as stale
    people = LedgerPeople(replica)
    worker = RenderWorker(settings.locales)
    components.append(Closing("renderer", worker.close))
    shelf = TemplateShelf(worker, clock)
    store = Store(database, shelf)
    requests, trail = RequestLog(), AuditTrail(clock)
    once: Once[Unit] = Once(store.unit, lambda unit: LoggedCalls(unit.connection, requests, trail))
    wake = Wake()
    text_sealer = Sealer(load_keys(settings.keys_folder, "texts"))
    poster = poster_of(settings.outbound)
    components.append(Closing("poster", poster.close))
    parts = Parts(
        settings=settings,
        roles=roles,
        release=DEFINITION.version,
        clock=clock,
        telemetry=telemetry,
        database=database,
        nats=nats,
        server=server,
        replica=replica,
        permits=permits,
        people=people,
        shelf=shelf,
        store=store,
        once=once,
        accepting=Accepting(permits, people, lambda: replica.contents.purposes, values_in, clock),
        hours=load_quiet_hours(settings.dispatch.quiet_hours_file),
        address_key=load_keys(settings.keys_folder, "addresses")[0],
        text_sealer=text_sealer,
        poster=poster,
        return_paths=_return_paths(settings),
        links=_links(settings, clock),
        wake=wake,
        components=components,
    )
    furnish_channels(parts)
    http = furnish_edge(parts)
    furnish_dispatch(parts, shelf, Writing(worker))
    if "api" in roles:
        _serve(parts, shelf, Writing(worker))
        server.health.register("api", "database", database.check)
    parts.components += participate(
        SERVICE,
        settings.privacy,
        NotificationHolding(text_sealer),
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
    sweeper = Housekeeping(database, [requests.sweep, inbox.sweep, sweeping.sweep], clock=clock, role="relay")
    server.health.register("relay", relay.name, relay.check)
    return Assembly(
        telemetry=telemetry,
        server=server.build(),
        roles=roles,
        drain_s=settings.grpc.drain_s,
        database=database,
        nats=nats,
        http=http,
        components=[*parts.components, relay, sweeper],
    )


def _serve(parts: Parts, shelf: TemplateShelf, writes: Writing) -> None:
    settings, store, once, clock = parts.settings, parts.store, parts.once, parts.clock
    desk = MessageDesk(once, store.unit, parts.accepting, parts.people, parts.wake, clock)
    test_domains = settings.email.test_domains if settings.email is not None else []
    preview = Preview(writes, parts.carriers.get(Channel.EMAIL), test_domains, clock)
    notifications, templates, preferences, *_ = SERVICES
    parts.server.add(
        notification_pb2_grpc.add_NotificationServiceServicer_to_server,
        servicer_of(notification_pb2_grpc.NotificationServiceServicer, notifications, desk, *parts.message_parts),
        notifications,
    )
    parts.server.add(
        template_pb2_grpc.add_TemplateServiceServicer_to_server,
        TemplateServicer(once, store.unit, shelf.check, shelf.forget, preview, clock),
        templates,
    )
    parts.server.add(
        preference_pb2_grpc.add_PreferenceServiceServicer_to_server,
        PreferenceServicer(once, store.unit, parts.permits, parts.people, parts.hours, clock),
        preferences,
    )


def _return_paths(settings: NotificationSettings) -> ReturnPaths | None:
    if settings.email is None:
        return None
    return ReturnPaths(load_keys(settings.keys_folder, "return_paths"), settings.email.bounce_domain)


def _links(settings: NotificationSettings, clock: Clock) -> UnsubscribeLinks | None:
    if settings.links is None:
        return None
    return UnsubscribeLinks(LinkSigner(load_keys(settings.keys_folder, "links"), clock=clock), settings.links.origin)
