"""What the notification service can be told from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from rapport_chassis.settings import (
    ClientSettings,
    Port,
    PositiveSeconds,
    ServiceSettings,
    SettingsGroup,
)
from rapport_privacy.settings import GateSettings, ParticipantSettings

_NAME = r"^[a-z][a-z0-9_.-]{0,62}$"


class SmtpSettings(SettingsGroup):
    """A mail server that mails are handed to."""

    name: Annotated[str, Field(pattern=_NAME)] = "smtp"
    """What the installation calls it."""
    host: str
    """Its name. Required."""
    port: Port = 587
    """Its port."""
    tls: Literal["always", "starttls", "never"] = "starttls"
    """From the first byte, by STARTTLS, or not at all, which is for a relay on the same machine."""
    username: str = ""
    """To log in with; empty for none."""
    password: SecretStr = SecretStr("")
    """To it."""
    connections: Annotated[int, Field(gt=0, le=64)] = 8
    """Connections kept open at most."""
    rate_per_s: Annotated[float, Field(gt=0)] = 5000.0
    """Mails it takes in a second."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Its share, where several are healthy."""
    timeout_s: Annotated[float, Field(gt=0, le=14)] = 14.0
    """How long each answer may take."""
    relay_log: Path | None = None
    """Log of a Postfix on the same machine: tells whether it has seen a mail of which that is in doubt."""


class DkimSettings(SettingsGroup):
    """What mails are signed with."""

    domain: str
    """That of the From address, or one above it. Required."""
    selector: str
    """The record is at `<selector>._domainkey.<domain>`. Required."""
    key: Path
    """PEM file of an RSA key of at least 2048 bits. Required."""


class EmailSettings(SettingsGroup):
    """E-mail."""

    sender: str
    """Address in From. Required."""
    sender_name: str = ""
    """Name beside it."""
    reply_to: str = ""
    """Where answers go; empty for the sender."""
    bounce_domain: str
    """Domain of the return paths. Required."""
    dkim: DkimSettings | None = None
    """What mails are signed with; absent: the relay signs."""
    servers: tuple[SmtpSettings, ...]
    """Mail servers; several are a pool with automatic failover. Required."""
    test_domains: tuple[str, ...] = ()
    """Domains that test mails may go to."""


class SmsAnswerSettings(SettingsGroup):
    """Answers to STOP, START and HELP."""

    name: Annotated[str, Field(min_length=1, max_length=30)]
    """Whose messages these are. Required."""
    help: Annotated[str, Field(min_length=3, max_length=60)]
    """Where people find help: a site, a number, an address. Required."""


class SmsSettings(SettingsGroup):
    """Text messages, through a provider that takes JSON over HTTPS."""

    name: Annotated[str, Field(pattern=_NAME)] = "sms"
    """What the installation calls it."""
    url: str
    """Where messages are posted. Required."""
    token: SecretStr
    """Sent as bearer token. Required."""
    sender: str
    """Number or name that messages come from. Required."""
    key_for_s: Annotated[float, Field(ge=0)] = 0.0
    """How long the provider keeps idempotency keys, by its documentation."""
    rate_per_s: Annotated[float, Field(gt=0)] = 50.0
    """Messages it takes in a second."""
    answers: SmsAnswerSettings | None = None
    """What STOP, START and HELP are answered with; absent: the provider answers, as the larger ones do."""


class LinkSettings(SettingsGroup):
    """Links in messages, which this service answers."""

    origin: Annotated[str, Field(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]
    """Of the site that answers, such as "https://mail.brand.example". Required."""


class WebPushSettings(SettingsGroup):
    """Notifications in browsers."""

    key: Path
    """PEM file of a P-256 key, which browsers are told when they subscribe. Required."""
    contact: Annotated[str, Field(pattern=r"^(mailto:|https://)[ -~]{3,200}$")]
    """Where push services find the installation's people. Required."""


class InnerSystem(SettingsGroup):
    """A system inside that may be called."""

    name: str
    """Its name, as its certificate has it, such as "crm.brand.example". Required."""
    port: Port = 443
    """Its port."""
    address: str
    """The one address it is at. Required."""


class OutboundSettings(SettingsGroup):
    """Who may be called beside the internet."""

    inner: tuple[InnerSystem, ...] = ()
    """Inner systems that webhooks, push services and providers may be; no other inner address is ever called."""
    authorities: Path | None = None
    """Bundle of authorities whose certificates are trusted beside the machine's; absent: those that are known."""


class TrackingSettings(SettingsGroup):
    """Links that say they were followed, and a picture that says it was loaded."""

    purpose_id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{1,62}$")]
    """The purpose that allows it, asked at the send and again when it happens. Required."""


class FeedbackSettings(SettingsGroup):
    """What comes back."""

    secrets_file: Path | None = None
    """Shared secrets of providers that call over HTTP, one a line ("whsec_…"); absent: nobody's calls are taken."""
    soft_count: Annotated[int, Field(gt=0)] = 5
    """An address is paused after so many soft bounces in a row, on different days,"""
    soft_days: Annotated[int, Field(ge=0)] = 7
    """spread over at least so many days,"""
    soft_pause_days: Annotated[int, Field(gt=0)] = 90
    """for so many days."""


class DispatchSettings(SettingsGroup):
    """How messages are handed over."""

    places: Annotated[int, Field(gt=1, le=1000)] = 96
    """Messages under way at most."""
    urgent_places: Annotated[int, Field(ge=0)] = 16
    """Of them only for urgent ones."""
    per_destination: Annotated[int, Field(gt=0)] = 32
    """Under way to one provider at most: a breaker lets no more begin, and what waits for it is held in the ledger."""
    lease_s: PositiveSeconds = 120.0
    """How long a worker has a message for itself."""
    transfer_s: PositiveSeconds = 60.0
    """How long handing it over may take."""
    margin_s: PositiveSeconds = 5.0
    """What the clocks of two machines may differ by, and more."""
    spread_s: PositiveSeconds = 900.0
    """Over how long messages that waited for the same opening are let go."""
    quiet_hours_file: Path | None = None
    """When advertising waits, in the form of the rules that ship (`data/quiet_hours.json`); absent: these."""
    home: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,62}$")] = "Etc/UTC"
    """Time zone of a person of whom nothing is known."""


class NotificationSettings(ServiceSettings):
    """Settings of the notification service."""

    model_config = SettingsConfigDict(env_prefix="RAPPORT_NOTIFICATION_")

    keys_folder: Path
    """Folder of the keys that hash addresses and seal links and return paths; they are made if missing. Required."""
    gate: GateSettings | None = None
    """The consent gate. Without one nothing is sent but to privacy requests."""
    identity: ClientSettings | None = None
    """The identity service, which knows addresses. Without it mails and texts to persons wait."""
    consent: ClientSettings | None = None
    """The consent service, which keeps the contacts of privacy requests. Without it messages to these wait."""
    email: EmailSettings | None = None
    """E-mail; absent: there is no such channel."""
    sms: SmsSettings | None = None
    """Text messages; absent: there is no such channel."""
    links: LinkSettings | None = None
    """Links in messages; absent: mails carry none, and advertising is dropped, for nobody could unsubscribe."""
    locales: tuple[str, ...] = ("en", "de", "fr", "es", "it", "pt", "nl", "pl")
    """Languages that messages can be written in."""
    web_push: WebPushSettings | None = None
    """Notifications in browsers; absent: there is no such channel."""
    tracking: TrackingSettings | None = None
    """Links that say they were followed; absent: nothing is tracked."""
    feedback: FeedbackSettings = FeedbackSettings()
    """What comes back."""
    privacy: ParticipantSettings | None = None
    """Its part in privacy requests; absent: it takes part in none."""
    outbound: OutboundSettings = OutboundSettings()
    """Who may be called beside the internet."""
    dispatch: DispatchSettings = DispatchSettings()
    """How messages are handed over."""
