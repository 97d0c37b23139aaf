"""Puts together what stands around the send ledger: triggers, watches, feedback, inboxes, and the site in messages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from rapport.notification.v1 import (
    feedback_pb2,
    feedback_pb2_grpc,
    trigger_pb2,
    trigger_pb2_grpc,
    watch_pb2,
    watch_pb2_grpc,
)
from rapport_chassis.asgi.links import LinkSigner
from rapport_chassis.audit import AuditTrail
from rapport_chassis.background import Stepping
from rapport_chassis.events.consumer import Consumer
from rapport_chassis.events.grouping import Together
from rapport_chassis.idempotency import RequestLog
from rapport_chassis.once import LoggedCalls, Once
from rapport_chassis.process import Component
from rapport_chassis.rpc.client import Client
from rapport_chassis.webhooks import WebhookKey

from rapport_notification.adapters import inboxes, responses
from rapport_notification.adapters.consent import ConsentLedger
from rapport_notification.adapters.edge_units import EdgeStore
from rapport_notification.adapters.endpoints import EndpointStore
from rapport_notification.adapters.in_app import InAppCarrier, InAppContacts
from rapport_notification.adapters.keys import load_keys
from rapport_notification.adapters.listeners import EndpointContacts, WebhookCarrier, WebPushCarrier
from rapport_notification.adapters.owners import IdentityOwners
from rapport_notification.adapters.past import PastEvents
from rapport_notification.adapters.shipping import ShippedDrafts
from rapport_notification.app.answering import Answering
from rapport_notification.app.engaging import Engaging
from rapport_notification.app.feedback import TakeFeedback
from rapport_notification.app.replying import TakeReply
from rapport_notification.app.simulation import Simulating
from rapport_notification.app.triggering import Triggering
from rapport_notification.app.unsubscribing import TellingLedger, Unsubscribing
from rapport_notification.app.waking import Wake
from rapport_notification.assembly import Parts
from rapport_notification.delivery import Closing
from rapport_notification.domain.suppression import Policy
from rapport_notification.domain.vocabulary import Channel
from rapport_notification.entrypoints import edge_ports as ports
from rapport_notification.entrypoints.grpc_endpoints import EndpointDesk
from rapport_notification.entrypoints.grpc_feedback import FeedbackDesk, FeedbackServicer
from rapport_notification.entrypoints.grpc_inbox import InboxDesk, InboxWatch
from rapport_notification.entrypoints.grpc_texts import TextDesk
from rapport_notification.entrypoints.grpc_triggers import TriggerServicer
from rapport_notification.entrypoints.grpc_watches import WatchServicer
from rapport_notification.entrypoints.subscriptions import CONSUMERS, EVENTS, Happenings
from rapport_notification.reference import load_json
from rapport_notification.sending.sms import Answers, Keywords
from rapport_notification.sending.tracking import Tracking
from rapport_notification.sending.web_push import WebPush
from rapport_notification.telemetry import TRIGGERED
from rapport_notification.translate.triggers import content_of_event

EDGE_SERVICES: Final = (
    trigger_pb2.DESCRIPTOR.services_by_name["TriggerService"],
    watch_pb2.DESCRIPTOR.services_by_name["WatchService"],
    feedback_pb2.DESCRIPTOR.services_by_name["FeedbackService"],
)
"""What it serves beside messages, templates and preferences."""

_LOOK_AT_INBOXES_S: Final = 0.1
_LOOK_AT_WISHES_S: Final = 0.25
_OVERDUE_S: Final = 1.0
_LOOK_AT_ENGAGEMENT_S: Final = 1.0
_LOOK_AT_TEXTS_S: Final = 2.0


def furnish_edge(parts: Parts) -> Component | None:
    """Add all of it, and return the HTTP listener where there is one."""
    store = EdgeStore(parts.database, parts.shelf, parts.text_sealer, parts.clock)
    parts.carriers[Channel.IN_APP] = InAppCarrier(parts.database, parts.clock)
    parts.contacts[Channel.IN_APP] = InAppContacts(parts.people)
    parts.unsubscribed = responses.unsubscribed
    if parts.settings.tracking is not None:
        parts.pasts = responses.Pasts(parts.clock)
    endpoints = EndpointStore(load_keys(parts.settings.keys_folder, "endpoints"))
    _listeners(parts, endpoints)
    _triggers(parts, store)
    return _feedback(parts, store, endpoints)


def _listeners(parts: Parts, endpoints: EndpointStore) -> None:
    """Add the channels to browsers and systems."""
    poster = parts.poster
    contacts = EndpointContacts(parts.database, endpoints, parts.people, parts.clock)
    parts.carriers[Channel.WEBHOOK] = WebhookCarrier(poster, parts.database, endpoints, parts.clock)
    parts.contacts[Channel.WEBHOOK] = contacts
    wanted = parts.settings.web_push
    if wanted is not None:
        key = load_pem_private_key(wanted.key.read_bytes(), None)
        if not isinstance(key, EllipticCurvePrivateKey):
            raise ValueError("the key of web push is no key on P-256")
        push = WebPush(poster, key, wanted.contact)
        parts.carriers[Channel.WEB_PUSH] = WebPushCarrier(push, poster.endpoint, parts.database, endpoints, parts.clock)
        parts.contacts[Channel.WEB_PUSH] = contacts


def _triggers(parts: Parts, store: EdgeStore) -> None:
    clock = parts.clock
    telemetry = parts.telemetry
    triggering = Triggering(
        parts.accepting, parts.people, content_of_event, telemetry.meter.counter(TRIGGERED), telemetry.tracer, clock
    )
    happenings = Happenings(triggering, store.unit_on)

    async def spread() -> bool:
        async with store.unit() as unit:
            return await triggering.spread(unit)

    commits = parts.database.commits
    parts.components.append(Stepping("watchers", spread, clock, share=0.5, idle_s=0.5, role="events", commits=commits))
    shipped = ShippedDrafts(parts.database, clock)
    parts.components.append(Stepping("shipped", shipped.step, clock, share=0.5, idle_s=3600.0, role="relay"))
    for source, name in CONSUMERS.items():
        consumer = Consumer(
            name,
            source,
            Together(happenings.handle, happenings.concerned),
            context="notification",
            events=EVENTS[source],
            nats=parts.nats,
            database=parts.database,
            telemetry=parts.telemetry,
            release=parts.release,
            clock=clock,
        )
        parts.server.health.register("events", consumer.name, consumer.check)
        parts.components.append(consumer)
    if "api" not in parts.roles:
        return
    once = _once(parts, store)
    triggers, watches, _ = EDGE_SERVICES
    parts.server.add(
        trigger_pb2_grpc.add_TriggerServiceServicer_to_server,
        TriggerServicer(once, store, parts.accepting, Simulating(PastEvents(parts.nats), parts.people, clock), clock),
        triggers,
    )
    parts.server.add(
        watch_pb2_grpc.add_WatchServiceServicer_to_server, WatchServicer(once, store, parts.people, clock), watches
    )
    watch = InboxWatch(parts.database.transaction, inboxes.head)
    desk = InboxDesk(once, parts.database.transaction, inboxes.after, inboxes.mark_read, watch, parts.people, clock)
    parts.message_parts.append(desk)
    parts.components.append(
        Stepping("inboxes", watch.step, clock, share=0.5, idle_s=_LOOK_AT_INBOXES_S, commits=commits)
    )


def _feedback(parts: Parts, store: EdgeStore, endpoints: EndpointStore) -> Component | None:
    settings, clock = parts.settings, parts.clock
    wake = Wake()
    unsubscribing = Unsubscribing(parts.people, parts.permits, clock, wake)
    ledger = None
    if settings.consent is not None:
        client = Client(settings.consent, telemetry=parts.telemetry)
        parts.components.append(Closing("ledger-client", client.close))
        ledger = ConsentLedger(client)
    telling = TellingLedger(store.unit, ledger, parts.permits, clock)

    commits = parts.database.commits

    async def tell() -> bool:
        mark = commits.mark
        worked = await telling.step()
        if not worked:
            word = wake.wait(_OVERDUE_S)
            await commits.since_or(word, mark, pace_s=_LOOK_AT_WISHES_S, at_most_s=_OVERDUE_S)
        return worked

    parts.components.append(Stepping("unsubscribes", tell, clock, share=0.9, idle_s=0.001))
    answering = Wake()
    parts.components.append(_answering(parts, store, unsubscribing, answering))
    engaging = None
    if settings.tracking is not None:
        engaging = Engaging(store.unit, parts.permits, settings.tracking.purpose_id, clock)
        parts.components.append(
            Stepping("engagement", engaging.step, clock, share=0.2, idle_s=_LOOK_AT_ENGAGEMENT_S, role="relay")
        )
    if "api" not in parts.roles:
        return None
    wanted = settings.feedback
    policy = Policy(wanted.soft_count, wanted.soft_days, wanted.soft_pause_days)
    answers = settings.sms is not None and settings.sms.answers is not None
    replies = TakeReply(
        Keywords(load_json("sms_keywords.json")),
        parts.address_key,
        parts.people,
        unsubscribing,
        policy,
        answers,
        clock,
    )
    desk = FeedbackDesk(
        store,
        TakeFeedback(unsubscribing, parts.return_paths, policy, clock),
        replies,
        parts.address_key,
        answering,
        clock,
    )
    once = _once(parts, store)
    parts.server.add(
        feedback_pb2_grpc.add_FeedbackServiceServicer_to_server,
        FeedbackServicer(
            once,
            desk,
            EndpointDesk(once, store, endpoints, parts.poster.endpoint, parts.people, clock),
            TextDesk(once, store, replies, parts.people),
        ),
        EDGE_SERVICES[2],
    )
    if settings.http is None or settings.links is None or parts.links is None:
        return None
    # Slow to import, and needed where links are given only.
    from rapport_chassis.asgi.server import HttpServer

    from rapport_notification.entrypoints.http import Site
    from rapport_notification.entrypoints.pages import Pages

    signer = LinkSigner(load_keys(settings.keys_folder, "links"), clock=clock)
    site = Site(
        store,
        parts.links,
        Tracking(signer, settings.links.origin),
        unsubscribing,
        engaging,
        desk,
        _secrets(parts),
        Pages(load_json("pages.json")),
        clock,
    )
    return HttpServer(settings.http, site.routes(), telemetry=parts.telemetry)


def _answering(parts: Parts, store: EdgeStore, unsubscribing: Unsubscribing, wake: Wake) -> Component:
    """Return what does for texts what is left to do."""
    settings = parts.settings
    owners, answers = None, None
    if settings.identity is not None:
        identity = Client(settings.identity, telemetry=parts.telemetry)
        parts.components.append(Closing("owners-client", identity.close))
        owners = IdentityOwners(identity)
    if settings.sms is not None and (said := settings.sms.answers) is not None:
        answers = Answers(load_json("sms_answers.json"), said.name, said.help)
    carrier = parts.carriers.get(Channel.SMS)
    step = Answering(store.unit, owners, unsubscribing, carrier, answers, parts.clock).step

    async def answer() -> bool:
        worked = await step()
        if not worked:
            await wake.wait(_LOOK_AT_TEXTS_S)
        return worked

    return Stepping("texts", answer, parts.clock, share=0.9, idle_s=0.001)


def _once(parts: Parts, store: EdgeStore) -> Once[ports.EdgeUnit]:
    requests, trail = RequestLog(), AuditTrail(parts.clock)
    scope: Callable[[], AbstractAsyncContextManager[ports.EdgeUnit]] = store.unit
    return Once(scope, lambda unit: LoggedCalls(unit.connection, requests, trail))


def _secrets(parts: Parts) -> tuple[WebhookKey, ...]:
    path = parts.settings.feedback.secrets_file
    if path is None:
        return ()
    return tuple(WebhookKey.parse(line) for line in path.read_text(encoding="ascii").split())
