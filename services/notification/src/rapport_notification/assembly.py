"""What parts of the service are put together from; `bootstrap` makes it once."""

from __future__ import annotations

from dataclasses import dataclass, field

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.once import Once
from rapport_chassis.process import Component
from rapport_chassis.rpc.health import Role
from rapport_chassis.rpc.server import ServerBuilder
from rapport_chassis.telemetry.setup import Telemetry
from rapport_privacy.embedded import ConsentGate
from rapport_privacy.gate import Gate
from rapport_privacy.replica import Replica

from rapport_notification.adapters.dispatch import Pasts, Unsubscribed
from rapport_notification.adapters.sealing import Sealer
from rapport_notification.adapters.templates import TemplateShelf
from rapport_notification.adapters.units import Store
from rapport_notification.app.accepting import Accepting
from rapport_notification.app.carriers import Carrier, Contacts
from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.waking import Wake
from rapport_notification.domain.quiet_hours import QuietHours
from rapport_notification.domain.vocabulary import Channel
from rapport_notification.entrypoints.ports import Unit
from rapport_notification.sending.http import Poster
from rapport_notification.sending.return_path import ReturnPaths
from rapport_notification.sending.unsubscribe import UnsubscribeLinks
from rapport_notification.settings import NotificationSettings


@dataclass
class Parts:
    """The common parts, and what others add.

    Attributes:
        settings: The settings.
        roles: Of this process.
        release: Version of the service.
        clock: The time.
        telemetry: Spans and metrics.
        database: The database.
        nats: The broker.
        server: To which services are added.
        replica: The consent ledger as the gate knows it.
        permits: The gate.
        people: Who is whose.
        shelf: Templates.
        store: Opens transactions.
        once: Takes changes, each in a transaction, once.
        accepting: Takes messages on, in anybody's transaction.
        hours: Quiet hours.
        address_key: That addresses are hashed with.
        text_sealer: Seals texts that people send.
        poster: Posts to webhooks, push services and providers.
        return_paths: Of bounces; None without e-mail.
        links: Unsubscribe; None without.
        wake: Has the dispatcher look at once.
        unsubscribed: Returns of which messages the recipient has unsubscribed, before the ledger knows.
        pasts: Returns how people have used channels.
        carriers: By channel; whoever adds one adds its contacts.
        contacts: By channel.
        components: That are started and stopped.
        message_parts: That answer methods of NotificationService.
    """

    settings: NotificationSettings
    roles: tuple[Role, ...]
    release: str
    clock: Clock
    telemetry: Telemetry
    database: Database
    nats: NatsConnection
    server: ServerBuilder
    replica: Replica
    permits: ConsentGate | Gate
    people: LedgerPeople
    shelf: TemplateShelf
    store: Store
    once: Once[Unit]
    accepting: Accepting
    hours: QuietHours
    address_key: bytes
    text_sealer: Sealer
    poster: Poster
    return_paths: ReturnPaths | None
    links: UnsubscribeLinks | None
    wake: Wake
    unsubscribed: Unsubscribed | None = None
    pasts: Pasts | None = None
    carriers: dict[Channel, Carrier] = field(default_factory=dict)
    contacts: dict[Channel, Contacts] = field(default_factory=dict)
    components: list[Component] = field(default_factory=list)
    message_parts: list[object] = field(default_factory=list)
