"""The notification service as its callers have it, with identity, mail server and ledger beside it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import grpc
import pytest
import rapport_notification
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from grpc_health.v1 import health_pb2, health_pb2_grpc
from notification_https import NAMES, Server, contexts_in
from notification_neighbours import AddressBook, RequestVault, Thread
from rapport.common.v1 import freshness_pb2
from rapport.consent.v1 import privacy_pb2_grpc, purpose_pb2
from rapport.identity.v1 import identity_pb2_grpc
from rapport.notification.v1 import (
    authored_pb2,
    content_pb2,
    events_pb2,
    feedback_pb2_grpc,
    notification_pb2,
    notification_pb2_grpc,
    preference_pb2,
    preference_pb2_grpc,
    template_pb2,
    template_pb2_grpc,
    trigger_pb2_grpc,
    watch_pb2_grpc,
)
from rapport_chassis.events import topology
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import RemoteError
from rapport_notification.conformance.smtp_sink import Fault, SmtpSink
from rapport_testing.free_ports import free_port
from rapport_testing.installation import Installation, TestedService
from rapport_testing.ledger_service import LedgerService, gate_settings
from rapport_testing.waiting import eventually

SHOP: Final = "shop"
OFFICE: Final = "office"
EDITOR: Final = "editor"
STREAM: Final = "RAPPORT_NOTIFICATION"
MARKETING: Final = "direct_marketing.email"
SERVICE: Final = "contract.service"
TRACKING: Final = "tracking.messages"
PURPOSES: Final = {
    MARKETING: purpose_pb2.LEGAL_BASIS_CONSENT,
    SERVICE: purpose_pb2.LEGAL_BASIS_CONTRACT,
    TRACKING: purpose_pb2.LEGAL_BASIS_CONSENT,
}
NOTIFICATION: Final = TestedService(
    "notification",
    migrations=Path(rapport_notification.__file__).parent / "migrations",
    topology=topology.DECLARED,
    settings={
        "KEYS_FOLDER": "{folder}",
        "LINKS__ORIGIN": "https://mail.brand.example",
        "LOCALES": '["en", "de"]',
        "HTTP__ADDRESS_FILE": "{folder}/http.address",
        "TRACKING__PURPOSE_ID": "tracking.messages",
        "FEEDBACK__SECRETS_FILE": "{folder}/providers",
        "DISPATCH__QUIET_HOURS_FILE": "{folder}/quiet_hours.json",
        "SMS__TOKEN": "token",
        "SMS__SENDER": "Brand",
        "SMS__KEY_FOR_S": "86400",
        "SMS__ANSWERS__NAME": "Brand",
        "SMS__ANSWERS__HELP": "brand.example/help",
        "WEB_PUSH__KEY": "{folder}/push.pem",
        "WEB_PUSH__CONTACT": "mailto:help@brand.example",
        "EMAIL__SENDER": "shop@mail.brand.example",
        "EMAIL__SENDER_NAME": "Brand",
        "EMAIL__BOUNCE_DOMAIN": "bounces.brand.example",
        "EMAIL__TEST_DOMAINS": '["brand.example"]',
        "EMAIL__DKIM__DOMAIN": "brand.example",
        "EMAIL__DKIM__SELECTOR": "r1",
        "EMAIL__DKIM__KEY": "{folder}/dkim.pem",
    },
)
QUIET_HOURS: Final = {
    "version": "test",
    "default": {
        # On every day of the week, so that no test depends on the day it runs on.
        "quiet": [{"days": "mon tue wed thu fri sat sun", "from": "20:00", "to": "08:00"}],
        "holidays": False,
        "kind": "test",
        "source": "test",
        "checked": "2026-11-01",
    },
    "countries": {},
}
PROVIDER_SECRET: Final = "whsec_" + base64.b64encode(b"a secret of a provider, thirty two").decode()
_DONE: Final = notification_pb2.NotificationState


class NotificationInstallation(Installation):
    """Servers with the ledger, an identity service and a mail server.

    Attributes:
        ledger: What people decided.
        book: Their addresses.
        vault: Contacts of privacy requests.
        sink: Takes mails; its faults are set by `fault`.
        fault: What goes wrong with the next mails.
        relay_log: Where the mail server logs.
        peer: Takes text messages, webhooks and notifications for browsers.
        dkim_record: Published beside the key.
    """

    def __init__(self, service: TestedService, folder: Path, *, durable: bool = False) -> None:
        super().__init__(service, folder, durable=durable)
        self.vault = RequestVault()  # type: ignore[abstract] # what notification asks
        serve_vault = partial(privacy_pb2_grpc.add_PrivacyRequestServiceServicer_to_server, self.vault)
        self.ledger = LedgerService(self, PURPOSES, also=serve_vault)
        self.book = AddressBook()  # type: ignore[abstract] # what notification asks
        self.fault = Fault.NONE
        self.relay_log = folder / "relay.log"
        self.relay_log.touch()
        self.sink = SmtpSink(lambda _: self.fault, keep=True, dsn=True, log=self.relay_log)
        self._thread = Thread()
        self.peer = Server()
        self._tls = contexts_in(folder)
        self._peer_port = free_port()
        self._identity = f"localhost:{free_port()}"
        key = generate_private_key(65537, 2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "own" / "dkim.pem").write_bytes(pem)
        (folder / "own" / "push.pem").write_bytes(
            generate_ec_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        (folder / "own" / "quiet_hours.json").write_text(json.dumps(QUIET_HOURS), encoding="utf-8")
        (folder / "own" / "providers").write_text(PROVIDER_SECRET, encoding="ascii")
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.dkim_record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)

    def start(self, *, provisioned: bool = True, migrated: bool = True) -> None:
        """Start the servers."""
        self.ledger.start()
        self._thread.do(self.sink.__aenter__())
        self._thread.do(self._serve_identity())
        self._thread.do(self.peer.start(self._tls[0], self._peer_port))
        super().start(provisioned=provisioned, migrated=migrated)

    def stop(self) -> None:
        """Stop them."""
        super().stop()
        self.ledger.stop()
        self._thread.do(self.sink.__aexit__())
        self._thread.do(self._server.stop(None))
        self._thread.do(self.peer.stop())
        self._thread.stop()

    def variables(self) -> dict[str, str]:
        """Return the environment variables that configure the service."""
        files = self.certificate(self.service.name)
        host, port = self.sink.address
        own = gate_settings(self, self.ledger) | {
            "identity__target": self._identity,
            "identity__tls__certificate": str(files.certificate),
            "identity__tls__key": str(files.key),
            "identity__tls__authorities": str(files.authorities),
            "consent__target": self.ledger.address,
            "consent__tls__certificate": str(files.certificate),
            "consent__tls__key": str(files.key),
            "consent__tls__authorities": str(files.authorities),
            "outbound__authorities": str(self.folder / "both.pem"),
            "outbound__inner": json.dumps(
                [{"name": name, "port": self._peer_port, "address": "127.0.0.1"} for name in NAMES]
            ),
            "sms__url": self.url("sms.brand.example", "/messages"),
            "email__servers": json.dumps(
                [{"name": "sink", "host": host, "port": port, "tls": "never", "relay_log": str(self.relay_log)}]
            ),
        }
        return super().variables() | {self._variable(name.upper()): value for name, value in own.items()}

    def break_connections(self) -> None:
        """Break every connection to the mail server."""

        async def broken() -> None:
            self.sink.close_sessions()

        self._thread.do(broken())

    def url(self, name: str, path: str) -> str:
        """Return where the peer listens under one of its names."""
        return f"https://{name}:{self._peer_port}{path}"

    def site(self) -> str:
        """Return where a started process answers links."""
        return "http://" + (self.folder / "own" / "http.address").read_text(encoding="ascii")

    def person(self, *purposes: str, address: str = "") -> str:
        """Return somebody who has granted these purposes and has an address."""
        profile_id = new_id("profile")
        self.book.emails[profile_id] = address or f"{profile_id[4:].lower()}@customers.example"
        self.ledger.grant(profile_id, *purposes)
        return profile_id

    @property
    def token(self) -> freshness_pb2.LedgerPosition:
        """What a message is sent with that must know every decision so far."""
        epoch, position = self.ledger.head
        return freshness_pb2.LedgerPosition(epoch=epoch, position=position)

    def mails(self, profile_id: str) -> list[bytes]:
        """Return the mails that somebody got."""
        address = self.book.emails[profile_id].encode()
        return [mail for mail in list(self.sink.taken.mails) if b"<" + address + b">" in mail]

    async def _serve_identity(self) -> None:
        files = self.certificate("identity")
        credentials = grpc.ssl_server_credentials(
            [(files.key.read_bytes(), files.certificate.read_bytes())],
            files.authorities.read_bytes(),
            require_client_auth=True,
        )
        self._server = grpc.aio.server()
        identity_pb2_grpc.add_IdentityServiceServicer_to_server(self.book, self._server)
        self._server.add_secure_port(self._identity, credentials)
        await self._server.start()


def start_installation(folder: Path, *, durable: bool = False) -> NotificationInstallation:
    """Start servers for the service, with callers who may what callers usually may."""
    installation = NotificationInstallation(NOTIFICATION, folder, durable=durable)
    installation.grant(SHOP, ["notification.messages.*", "notification.explanations.read"])
    installation.grant(OFFICE, ["notification.*"])
    installation.grant_role(EDITOR, ["notification.*"])
    installation.start()
    return installation


def request_id() -> str:
    """A request id that was never used."""
    return str(uuid4())


def terms(text: str = "Hello {{ recipient_given_name }}: {{ title }}", **fields: Any) -> template_pb2.TemplateTerms:
    """What a template says in two parts."""
    mjml = (
        "<mjml><mj-body><mj-section><mj-column><mj-text>{{ title }}</mj-text>"
        '<mj-button href="{{ unsubscribe_url }}">No more</mj-button></mj-column></mj-section></mj-body></mjml>'
    )
    made = template_pb2.TemplateTerms(locale="en", channels=[events_pb2.CHANNEL_EMAIL], **fields)
    made.variables["title"].kind = template_pb2.VARIABLE_KIND_TEXT
    made.texts["en"].CopyFrom(template_pb2.TemplateTexts(subject="News: {{ title }}", text=text, mjml=mjml))
    return made


def message(profile_id: str, template_id: str = "news", **fields: Any) -> notification_pb2.SendNotificationRequest:
    """A message to somebody: service to a contract unless more is said."""
    given: dict[str, Any] = {
        "request_id": request_id(),
        "recipient_id": profile_id,
        "template_id": template_id,
        "category": "orders",
        "class": events_pb2.MESSAGE_CLASS_SERVICE,
        "purpose_id": SERVICE,
        "variables": {"title": content_pb2.ContentValue(text="The lamp")},
    }
    return notification_pb2.SendNotificationRequest(**given | fields)


def advertising(profile_id: str, **fields: Any) -> notification_pb2.SendNotificationRequest:
    """Advertising to somebody who lives where it is day now, unless more is said."""
    given: dict[str, Any] = {"class": events_pb2.MESSAGE_CLASS_MARKETING, "category": "offers", "purpose_id": MARKETING}
    return message(profile_id, **given | fields)


def daylight() -> str:
    """Return a zone in which it is about noon, as far as one goes."""
    offset = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-offset:+d}" if offset else "Etc/UTC"


@contextmanager
def refused(reason: str, field: str | None = None) -> Iterator[pytest.ExceptionInfo[RemoteError]]:
    """Expect a call to be refused for a reason, and because of a field."""
    with pytest.raises(RemoteError) as caught:
        yield caught
    assert caught.value.reason.name == reason, caught.value
    if field is not None:
        assert field in [violation.path for violation in caught.value.fields]


@dataclass(frozen=True)
class Desk:
    """A place from which the service is called: by a shop, and by an editor who is a person.

    Attributes:
        messages: With the certificate of a shop that may send.
        office: The same, with that of an office.
        templates: With that of an office and the token of an editor.
        preferences: The same.
        health: Asks for readiness.
        triggers: With the certificate of an office and the token of an editor.
        watches: With that of an office.
        feedback: The same, with the token.
    """

    messages: notification_pb2_grpc.NotificationServiceAsyncStub
    office: notification_pb2_grpc.NotificationServiceAsyncStub
    templates: template_pb2_grpc.TemplateServiceAsyncStub
    preferences: preference_pb2_grpc.PreferenceServiceAsyncStub
    health: health_pb2_grpc.HealthAsyncStub  # type: ignore[name-defined]
    triggers: trigger_pb2_grpc.TriggerServiceAsyncStub
    watches: watch_pb2_grpc.WatchServiceAsyncStub
    feedback: feedback_pb2_grpc.FeedbackServiceAsyncStub

    async def template(
        self, template_id: str = "news", made: template_pb2.TemplateTerms | None = None, brand_id: str = ""
    ) -> template_pb2.Template:
        """Draft a template and put it in force."""
        drafted = await self.templates.UpsertTemplate(
            template_pb2.UpsertTemplateRequest(
                request_id=request_id(), template_id=template_id, brand_id=brand_id, terms=made or terms()
            )
        )
        assert drafted.status.state == authored_pb2.VERSION_STATE_DRAFT
        return await self.templates.ActivateTemplate(
            template_pb2.ActivateTemplateRequest(
                request_id=request_id(),
                template_id=template_id,
                brand_id=brand_id,
                version=drafted.status.version,
                reason="opened",
            )
        )

    async def rule(self, name: str, **what: Any) -> preference_pb2.SendingRule:
        """Draft a category or a cap and put it in force."""
        drafted = await self.preferences.UpsertRule(
            preference_pb2.UpsertRuleRequest(request_id=request_id(), name=name, **what)
        )
        kind = (
            preference_pb2.SENDING_RULE_KIND_CATEGORY
            if drafted.HasField("category")
            else preference_pb2.SENDING_RULE_KIND_CAP
        )
        return await self.preferences.ActivateRule(
            preference_pb2.ActivateRuleRequest(
                request_id=request_id(), kind=kind, name=name, version=drafted.status.version, reason="opened"
            )
        )

    async def lives(self, profile_id: str, zone: str) -> None:
        """Have a person say where they live."""
        await self.preferences.SetPreferences(
            preference_pb2.SetPreferencesRequest(
                request_id=request_id(),
                profile_id=profile_id,
                place=preference_pb2.DeclaredPlace(zone=zone, country="US"),  # no rule about Sundays
            )
        )

    async def send(self, request: notification_pb2.SendNotificationRequest) -> str:
        """Send a message and return its id."""
        return (await self.messages.SendNotification(request)).notification.notification_id

    async def get(self, notification_id: str) -> notification_pb2.NotificationRecord:
        """Return a message."""
        request = notification_pb2.GetNotificationRequest(notification_id=notification_id)
        return await self.messages.GetNotification(request)

    async def explain(self, notification_id: str) -> notification_pb2.NotificationExplanation:
        """Say why a message was sent, or not."""
        request = notification_pb2.ExplainNotificationRequest(notification_id=notification_id)
        return await self.messages.ExplainNotification(request)

    async def becomes(
        self, notification_id: str, *states: str, timeout_s: float = 20
    ) -> notification_pb2.NotificationRecord:
        """Wait until a message is in one of these states, such as "SENT", and return it."""
        wanted = {_DONE.Value(f"NOTIFICATION_STATE_{each}") for each in states}

        async def there() -> bool:
            return (await self.get(notification_id)).state in wanted

        await eventually(there, timeout_s=timeout_s)
        return await self.get(notification_id)

    async def until_ready(self) -> None:
        """Wait until the service can answer."""

        async def serving() -> bool:
            try:
                answer = await self.health.Check(health_pb2.HealthCheckRequest(service="api"))
            except RemoteError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        await eventually(serving, timeout_s=30)


@asynccontextmanager
async def open_desk(installation: Installation, *, process: str = "service") -> AsyncIterator[Desk]:
    """Call a process of the service."""
    shop = installation.client(SHOP, process=process)
    office = installation.client(OFFICE, process=process)
    token = installation.actor_token(OFFICE, roles=[EDITOR])
    try:
        yield Desk(
            shop.stub(notification_pb2_grpc.NotificationServiceStub),
            office.stub(notification_pb2_grpc.NotificationServiceStub),
            office.stub(template_pb2_grpc.TemplateServiceStub, actor_token=token),
            office.stub(preference_pb2_grpc.PreferenceServiceStub, actor_token=token),
            shop.stub(health_pb2_grpc.HealthStub),
            office.stub(trigger_pb2_grpc.TriggerServiceStub, actor_token=token),
            office.stub(watch_pb2_grpc.WatchServiceStub),
            office.stub(feedback_pb2_grpc.FeedbackServiceStub, actor_token=token),
        )
    finally:
        await shop.close()
        await office.close()


def furnish(installation: Installation) -> None:
    """Have a template in force. Not to be called in a thread in which an event loop runs."""

    async def furnished() -> None:
        async with open_desk(installation) as desk:
            await desk.until_ready()
            await desk.template()

    asyncio.run(furnished())
