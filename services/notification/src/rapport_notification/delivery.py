"""Puts together what hands messages over."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal

from rapport_chassis.background import Stepping
from rapport_chassis.rpc.client import Client
from rapport_privacy.translate import decision_message

from rapport_notification import telemetry
from rapport_notification.adapters.contacts import IdentityContacts, RequestContacts
from rapport_notification.adapters.dispatch import SendingStore
from rapport_notification.adapters.email import EmailCarrier, Letterhead, signer_of
from rapport_notification.adapters.relay_log import KEEPS, RelayLog
from rapport_notification.adapters.rules import Rules
from rapport_notification.adapters.sms import SmsCarrier
from rapport_notification.adapters.templates import TemplateShelf
from rapport_notification.adapters.writing import Writing
from rapport_notification.app.dispatching import Dispatching
from rapport_notification.app.intents import Intents
from rapport_notification.app.judging import Judge
from rapport_notification.app.messages import Stored
from rapport_notification.app.reconciling import Reconciling
from rapport_notification.app.recording import Recorder
from rapport_notification.app.working import Worker
from rapport_notification.assembly import Parts
from rapport_notification.domain.entries import Limits
from rapport_notification.domain.resolution import BLIND
from rapport_notification.domain.scheduling import FairQueue
from rapport_notification.domain.vocabulary import SECOND_US, Channel
from rapport_notification.numbers import evidence_of
from rapport_notification.sending import smtp
from rapport_notification.sending.fields import Address, Text
from rapport_notification.sending.http import Poster
from rapport_notification.sending.providers import Provider, ProviderPool
from rapport_notification.sending.sms_http import SmsHttpProvider, SmsHttpSettings
from rapport_notification.settings import EmailSettings, OutboundSettings, SmsSettings
from rapport_notification.tracked import tracker
from rapport_notification.translate.contents import values_in


def furnish_channels(parts: Parts) -> None:
    """Add e-mail, and whoever knows addresses."""
    settings = parts.settings
    identity = _client(parts, "identity")
    parts.contacts[Channel.EMAIL] = IdentityContacts(identity)
    if settings.email is not None:
        carrier = _email(parts, settings.email)
        parts.carriers[Channel.EMAIL] = carrier
        parts.components.append(Closing("mail-servers", carrier.close))
    if settings.sms is not None:
        parts.carriers[Channel.SMS] = _sms(parts, settings.sms)
        parts.contacts[Channel.SMS] = parts.contacts[Channel.EMAIL]


def request_contacts(parts: Parts) -> RequestContacts:
    """Return who knows the contacts of privacy requests."""
    return RequestContacts(_client(parts, "consent"))


def _client(parts: Parts, name: str) -> Client | None:
    settings = getattr(parts.settings, name)
    if settings is None:
        return None
    client = Client(settings, telemetry=parts.telemetry)
    parts.components.append(Closing(f"{name}-client", client.close))
    return client


def _email(parts: Parts, settings: EmailSettings) -> EmailCarrier:
    assert parts.return_paths is not None
    dkim = settings.dkim
    head = Letterhead(
        Address(settings.sender),
        Text(settings.sender_name),
        Address(settings.reply_to) if settings.reply_to else None,
        parts.return_paths,
        parts.links,
        signer_of(dkim.domain, dkim.selector, dkim.key) if dkim is not None else None,
        tracker(parts),
    )
    servers = {
        each.name: smtp.SmtpPool(
            smtp.SmtpSettings(
                each.host,
                each.port,
                each.tls,
                each.username,
                each.password.get_secret_value(),
                each.connections,
                timeout_s=each.timeout_s,
            )
        )
        for each in settings.servers
    }
    logs = {each.name: RelayLog(each.relay_log) for each in settings.servers if each.relay_log is not None}
    providers = [
        Provider(
            each.name,
            KEEPS if each.relay_log is not None else BLIND,
            rate_per_s=each.rate_per_s,
            burst=max(1.0, each.rate_per_s / 10),
            weight=each.weight,
        )
        for each in settings.servers
    ]
    return EmailCarrier(head, servers, logs, ProviderPool(providers, parts.clock.boottime()), parts.clock)


def poster_of(settings: OutboundSettings) -> Poster:
    """Return what posts to webhooks, push services and providers."""
    context = None
    if settings.authorities is not None:
        context = ssl.create_default_context()
        context.load_verify_locations(settings.authorities)
    return Poster(context=context, inner={f"{each.name}:{each.port}": each.address for each in settings.inner})


def _sms(parts: Parts, settings: SmsSettings) -> SmsCarrier:
    key_for_us = round(settings.key_for_s * SECOND_US)
    endpoint = parts.poster.endpoint(settings.url)
    provider = SmsHttpProvider(SmsHttpSettings(endpoint, settings.token.get_secret_value(), key_for_us), parts.poster)
    pool = ProviderPool(
        [Provider(settings.name, provider.capability, rate_per_s=settings.rate_per_s)], parts.clock.boottime()
    )
    return SmsCarrier(provider, settings.sender, pool)


class Closing:
    """A component that is used by others and closed at the end.

    Args:
        name: Its name.
        close: Closes it.
    """

    role: Literal["all"] = "all"

    def __init__(self, name: str, close: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self._close = close

    async def start(self) -> None:
        """Do nothing: the first use opens it."""

    async def stop(self) -> None:
        """Close it."""
        await self._close()


def furnish_dispatch(parts: Parts, shelf: TemplateShelf, writes: Writing) -> None:
    """Add what claims messages and hands them over, and what settles doubts."""
    settings, clock = parts.settings.dispatch, parts.clock
    limits = Limits(
        round(settings.lease_s * SECOND_US),
        round(settings.transfer_s * SECOND_US),
        round(settings.margin_s * SECOND_US),
    )
    spread_us = round(settings.spread_s * SECOND_US)
    store = SendingStore(
        parts.database,
        shelf,
        Rules(clock),
        spread_us=spread_us,
        unsubscribed=parts.unsubscribed,
        pasts=parts.pasts,
    )
    judge = Judge(
        permits=parts.permits,
        carriers=parts.carriers,
        hours=parts.hours,
        numbers=partial(evidence_of, zones=parts.hours.zones),
        home=settings.home,
        spread_us=spread_us,
        limits=limits,
        advertises=parts.links is not None,
        clock=clock,
    )
    counted = parts.telemetry.meter.counter(telemetry.OUTCOMES)
    recorder = Recorder(store, counted, clock)
    dispatching = Dispatching(
        store=store,
        judge=judge,
        intents=Intents(store, judge, lambda decision: decision_message(decision).SerializeToString(), limits, clock),
        carriers=parts.carriers,
        contacts=parts.contacts,
        request_contacts=request_contacts(parts),
        writes=writes,
        recorder=recorder,
        counted=counted,
        tracer=parts.telemetry.tracer,
        people=parts.people,
        values_in=values_in,
        unsubscribe_url=lambda stored: _unsubscribe_url(parts, stored),
        address_key=parts.address_key,
        limits=limits,
        clock=clock,
    )
    queue = FairQueue(
        places=settings.places, urgent_places=settings.urgent_places, per_destination=settings.per_destination
    )
    queued = parts.telemetry.meter.gauge(telemetry.QUEUED).of()
    worker = Worker(store, dispatching, queue, parts.wake, queued, limits, parts.database.commits, clock)
    in_doubt = parts.telemetry.meter.gauge(telemetry.IN_DOUBT).of()
    reconciling = Reconciling(store, parts.carriers, limits, in_doubt, clock)
    doubts = Stepping("doubts", reconciling.step, clock, share=0.5, idle_s=1.0, role="events")
    parts.components += [worker, doubts]


def _unsubscribe_url(parts: Parts, stored: Stored) -> str:
    if parts.links is None or stored.to_request:
        return ""
    return parts.links.url(stored.notification_id, parts.clock.now()).value
