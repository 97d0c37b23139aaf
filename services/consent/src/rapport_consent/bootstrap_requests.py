"""Puts privacy requests together: the part of `bootstrap` that is there where they are taken in."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from rapport_chassis.asgi.links import LinkSigner
from rapport_chassis.audit import AuditTrail
from rapport_chassis.background import Stepping
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.housekeeping import Sweep
from rapport_chassis.events.consumer import Consumer
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.idempotency import RequestLog
from rapport_chassis.once import LoggedCalls, Once
from rapport_chassis.process import Component
from rapport_chassis.signing import SigningKeys
from rapport_chassis.telemetry.setup import Telemetry

from rapport_consent.adapters.calendars import shipped_calendars
from rapport_consent.adapters.decision_makers import DecisionMakers
from rapport_consent.adapters.handed_records import HandedRecords, sweep_handed
from rapport_consent.adapters.ledger import LedgerStore
from rapport_consent.adapters.package_store import PackageStore, sweep_packages
from rapport_consent.adapters.packages import Packages
from rapport_consent.adapters.participants import Participants
from rapport_consent.adapters.peers import Peers
from rapport_consent.adapters.people import People
from rapport_consent.adapters.proofs import Proofs
from rapport_consent.adapters.request_letters import RequestLetters
from rapport_consent.adapters.request_notices import RequestNotices
from rapport_consent.adapters.requests import RequestStore
from rapport_consent.adapters.rule_packs import shipped_packs
from rapport_consent.adapters.sealing import Sealer
from rapport_consent.adapters.transparency import TransparencyLog
from rapport_consent.app.call_participants import CallParticipants
from rapport_consent.app.find_subject import SubjectSearch
from rapport_consent.app.fulfil_request import Fulfilment
from rapport_consent.app.hand_over_letter import LetterBox
from rapport_consent.app.review_decision import DecisionReviewing
from rapport_consent.app.verify_requester import CodeSender
from rapport_consent.domain.law import Law
from rapport_consent.domain.packages import Origin, StoreInfo
from rapport_consent.domain.receipts import Controller
from rapport_consent.domain.request_clocks import Clocks
from rapport_consent.domain.request_words import ParticipantKind
from rapport_consent.domain.requests import Participant
from rapport_consent.entrypoints.grpc_requests import PrivacyRequestServicer
from rapport_consent.entrypoints.package_links import PackageLinks
from rapport_consent.entrypoints.request_answers import ANSWER_EVENTS, ANSWERED, ParticipantAnswers, consumer_name
from rapport_consent.entrypoints.request_ports import RequestUnit
from rapport_consent.settings import ConsentSettings, RequestSettings

if TYPE_CHECKING:
    from rapport_consent.adapters.webhooks import WebhookCaller

_SHARE = 0.9
_LEAST_CODE, _CODES = 10_000_000, 90_000_000
_SALT_BYTES = 16
_IDENTITY, _NOTIFICATION = "identity", "notification"


@dataclass(frozen=True)
class RequestParts:
    """What privacy requests add to a process.

    Attributes:
        store: Opens transactions on them.
        packages: Keeps packages.
        links: Makes links to them; None where none are given.
        servicer: Serves them.
        consumers: Read what participants answer.
        components: What runs beside.
        sweeps: What is swept.
    """

    store: RequestStore
    packages: PackageStore
    links: PackageLinks | None
    servicer: PrivacyRequestServicer
    consumers: Sequence[Consumer]
    components: Sequence[Component]
    sweeps: Sequence[Sweep]


def privacy_requests(
    settings: ConsentSettings,
    wanted: RequestSettings,
    *,
    database: Database,
    ledger: LedgerStore,
    log: TransparencyLog,
    keys: SigningKeys,
    requests: RequestLog,
    trail: AuditTrail,
    nats: NatsConnection,
    telemetry: Telemetry,
    release: str,
    clock: Clock,
    signer: LinkSigner | None,
) -> RequestParts:
    """Return what privacy requests add to a process, nothing started yet.

    Raises:
        OSError: The keys of the vault cannot be read.
        ValueError: They are no keys.
    """
    calendars = shipped_calendars()
    law = Law(shipped_packs(), Clocks(calendars.working_days, calendars.zone))
    sealer = Sealer.load(wanted.vault_keys_file)
    store = RequestStore(database, ledger, sealer, law, clock)
    peers = Peers(wanted.peers, wanted.tls or settings.grpc.tls, wanted.server_name, telemetry)
    handed = HandedRecords(database, sealer, wanted.handed_in_most_bytes, clock)
    participants, kept = Participants(peers, handed, _declared(wanted)), PackageStore(database, sealer)
    controller = Controller(**settings.controller.model_dump())
    origin = settings.links.origin if settings.links else ""
    links = PackageLinks(signer, clock, timedelta(days=wanted.link_days), origin) if signer else None
    letters = RequestLetters(law, controller, links.in_letter if links else lambda _: "")
    people = (
        People(peers, purpose_id=wanted.contact_purpose, sure_bits=wanted.sure_bits) if _IDENTITY in peers else None
    )
    notices = RequestNotices(peers, purpose_id=wanted.contact_purpose) if _NOTIFICATION in peers else None
    proofs = Proofs(
        packages=Packages(database, log, keys, folder=wanted.packages_folder),
        store=kept,
        participants=participants,
        letters=letters,
        keys=keys,
        controller=controller,
        kept_for=timedelta(days=wanted.packages_kept_days),
        clock=clock,
    )
    fulfilment = Fulfilment(
        store=store,
        people=people,
        subjects=SubjectSearch(store, people, clock),
        letters=LetterBox(store, law, notices, proofs, clock),
        proofs=proofs,
        reviewing=DecisionReviewing(store, DecisionMakers(peers), clock),
        clock=clock,
        vault_kept_at_most=timedelta(days=wanted.vault_kept_days),
    )
    codes = CodeSender(
        store, notices, lambda: _LEAST_CODE + secrets.randbelow(_CODES), lambda: secrets.token_bytes(_SALT_BYTES)
    )

    async def send_code() -> bool:
        return await codes.step(clock.now())

    once: Once[RequestUnit] = Once(store.unit, lambda unit: LoggedCalls(unit.connection, requests, trail))
    servicer = PrivacyRequestServicer(
        once=once,
        store=store,
        law=law,
        packages=kept,
        log=log,
        letters=letters,
        trail=trail,
        participants=tuple(
            Participant(each.name, ParticipantKind(each.kind), each.owner, each.instruction, each.days)
            for each in wanted.participants
        ),
        clock=clock,
        fresh_login=timedelta(seconds=settings.auth.fresh_login_s),
        links=links,
        handed=handed,
    )
    consumers = [
        Consumer(
            consumer_name(context),
            context,
            ParticipantAnswers(context, store, participants, clock).handle,
            context="consent",
            events=ANSWER_EVENTS,
            nats=nats,
            database=database,
            telemetry=telemetry,
            release=release,
            clock=clock,
        )
        for context in ANSWERED
        if any(each.name == context for each in wanted.participants)
    ]
    idle_s = wanted.look_every_s
    working = [
        Stepping(name, step, clock, share=_SHARE, idle_s=idle_s, role="events", commits=database.commits)
        for name, step in (("privacy-requests", fulfilment.step), ("privacy-codes", send_code))
    ]
    calling: list[Component] = []
    if any(each.kind == "WEBHOOK" for each in wanted.participants):
        caller = _webhooks(wanted, handed, clock)
        calls = CallParticipants(store, caller, clock)
        calling = [caller, Stepping("privacy-webhooks", calls.step, clock, share=_SHARE, idle_s=idle_s, role="events")]
    components: list[Component] = [peers, *consumers, *working, *calling]
    return RequestParts(store, kept, links, servicer, consumers, components, [sweep_packages, sweep_handed])


def _declared(wanted: RequestSettings) -> dict[str, tuple[StoreInfo, ...]]:
    return {
        each.name: tuple(
            StoreInfo(
                each.name,
                store.store,
                store.category,
                Origin[store.origin],
                store.purposes,
                store.recipients,
                timedelta(days=store.kept_days) if store.kept_days else None,
                store.source,
            )
            for store in each.stores
        )
        for each in wanted.participants
    }


def _webhooks(wanted: RequestSettings, handed: HandedRecords, clock: Clock) -> WebhookCaller:
    """Return what calls participants over HTTP; imported where there are any alone.

    Raises:
        OSError: Keys or authorities cannot be read.
        ValueError: They are none, or no shared ones, or a URL is not one that may be called.
    """
    from rapport_chassis.outbound import Endpoint
    from rapport_chassis.webhooks import WebhookKey

    from rapport_consent.adapters.webhooks import Webhook, WebhookCaller

    webhooks = {
        each.name: Webhook(
            Endpoint.parse(each.url, inner=wanted.webhook_inner),
            tuple(map(WebhookKey.shared, each.keys_file.read_text(encoding="ascii").split())),
        )
        for each in wanted.participants
        if each.kind == "WEBHOOK" and each.keys_file is not None
    }
    context = ssl.create_default_context(cafile=wanted.webhook_authorities) if wanted.webhook_authorities else None
    return WebhookCaller(webhooks, handed, clock, context=context, inner=wanted.webhook_inner)
