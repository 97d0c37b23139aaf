"""The servers that the notification service runs on in tests, with identity, mail server and ledger beside it."""

from __future__ import annotations

import base64
import json
from functools import partial
from pathlib import Path
from typing import Final

import grpc
import rapport_notification
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from notification_https import NAMES, Server, contexts_in
from notification_neighbours import AddressBook, RequestVault, Thread
from rapport.common.v1 import freshness_pb2
from rapport.consent.v1 import privacy_pb2_grpc, purpose_pb2
from rapport.identity.v1 import identity_pb2_grpc
from rapport_chassis.events import topology
from rapport_chassis.ids import new_id
from rapport_notification.conformance.smtp_sink import Fault, SmtpSink
from rapport_testing.free_ports import free_port
from rapport_testing.installation import Installation, TestedService
from rapport_testing.ledger_service import LedgerService, gate_settings

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
