"""What the consent service can be told from outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict
from rapport_chassis.settings import PositiveSeconds, ServiceSettings, SettingsGroup, TlsFiles
from rapport_privacy.settings import ParticipantSettings


class ControllerSettings(SettingsGroup):
    """Who answers for the data, as every receipt must say (ISO/IEC TS 27560)."""

    party_id: str = "controller"
    """Stable id of the controller."""
    name: str = "Example controller"
    """Legal name."""
    address: str = "not stated"
    """Postal address."""
    contact: str = "privacy@example.com"
    """Where a person can write to."""
    jurisdiction: str = "EU"
    """Law the controller answers to."""
    storage_location: str = "EU"
    """Where the data is kept."""
    retention: str = "for as long as the consent is in force and three years after"
    """How long it is kept, or by what it is decided."""
    withdrawal_method: str = "in the preference centre, by a link in each message, or by writing to the contact"
    """How consent is taken back."""
    recipients: tuple[str, ...] = ()
    """Third parties who receive the data."""
    authority: tuple[str, ...] = ()
    """The supervisory authority to complain to, line by line; empty: that of the person's market."""


class GateSettings(SettingsGroup):
    """The replica from which checks are answered."""

    bound_s: Annotated[float, Field(gt=0)] = 2.0
    """Longest time a decision may be out of date."""
    head_every_s: Annotated[float, Field(gt=0)] = 0.25
    """How often the head of the ledger is asked for."""


class LinkSettings(SettingsGroup):
    """Signed links for people without a login."""

    keys_file: Path
    """Keys, one a line in hexadecimal, at least 32 bytes each, the newest first: it signs, all of them verify."""
    valid_for_s: Annotated[float, Field(gt=0)] = 30 * 86400.0
    """How long a link is good for."""
    origin: Annotated[str, Field(pattern=r"^(https?://[^\s/]+)?$")] = ""
    """Where people reach the listener, for example https://privacy.example.com; empty: letters name no link."""


class StoreEntry(SettingsGroup):
    """A kind of record that a webhook or people keep; services declare their own."""

    store: Annotated[str, Field(min_length=1, max_length=200)]
    """Its name, as answers have it."""
    category: str = ""
    """Category of the data, for example "user.contact"."""
    origin: Literal["UNKNOWN", "PROVIDED", "OBSERVED", "INFERRED"] = "UNKNOWN"
    """How it came to be held: only what was provided or observed is portable."""
    purposes: tuple[str, ...] = ()
    """What for, as purposes of the registry or coded duties."""
    recipients: tuple[str, ...] = ()
    """Who receives it, by name."""
    kept_days: Annotated[int, Field(gt=0)] | None = None
    """For how long; absent: as long as the person is a customer."""
    source: str = ""
    """Where it comes from, as a code."""


class ParticipantEntry(SettingsGroup):
    """One entry of the registry of participants: who holds personal data."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
    """Its name: that of the service, or of whoever else holds data."""
    kind: Literal["EVENT", "WEBHOOK", "MANUAL"] = "EVENT"
    """How it is reached: a service follows events; a processor or old system is called; people are told what to do."""
    url: str = ""
    """Where a webhook is called, by HTTPS."""
    keys_file: Path | None = None
    """Secrets shared with a webhook (whsec_ as Standard Webhooks writes them), one a line, the newest first."""
    owner: str = ""
    """Who does it, where people do."""
    instruction: str = ""
    """What they are to do."""
    days: Annotated[int, Field(gt=0, le=365)] = 7
    """In how many days it is to be answered."""
    stores: tuple[StoreEntry, ...] = ()
    """What a webhook or people keep, as a package says it of their records."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.kind == "WEBHOOK" and (not self.url or self.keys_file is None):
            raise ValueError("a webhook has a url and a keys_file")
        return self


class RequestSettings(SettingsGroup):
    """Privacy requests."""

    vault_keys_file: Path
    """Keys of the vault, one a line, 32 bytes in hexadecimal, the newest first: it seals, all open. Required."""
    packages_folder: Path
    """Where packages are made; only this service may read it. Required."""
    participants: tuple[ParticipantEntry, ...] = tuple(
        ParticipantEntry(name=name) for name in ("identity", "consent", "churn", "pricing", "notification")
    )
    """The registry: everybody who holds personal data. Each request keeps it as it was at its approval."""
    peers: Mapping[str, str] = Field(default_factory=dict)
    """Where services are, by name, for example "dns:///identity:50051": exports and keys come from there."""
    handed_in_most_bytes: Annotated[int, Field(gt=0)] = 64 << 20
    """Most bytes of records that one answer of a webhook or of people may hand in."""
    webhook_authorities: Path | None = None
    """Bundle of the authorities that webhooks' certificates are from; absent: the public ones."""
    webhook_inner: Mapping[str, str] = Field(default_factory=dict)
    """Webhooks inside the own network: name with port, and its address; all others must be on the internet."""
    tls: TlsFiles | None = None
    """Client certificate for calls to them; absent: that of the service's own listener."""
    server_name: str | None = None
    """Name their certificates must carry, where it differs from the target's host."""
    contact_purpose: str = "privacy.requests"
    """The purpose for which contact points on file are used in requests: codes and notices. A duty by law."""
    sure_bits: float = 10.0
    """Records joined by less evidence than this are listed apart, and an officer chooses."""
    packages_kept_days: Annotated[float, Field(gt=0)] = 30.0
    """How long a package can be opened."""
    link_days: Annotated[float, Field(gt=0)] = 7.0
    """How long after a verification a person may fetch a package by a link."""
    vault_kept_days: Annotated[float, Field(gt=0)] = 30.0
    """How long an address is kept after the end of a request, should no notice ask for it."""
    look_every_s: PositiveSeconds = 0.5
    """How often requests are looked at."""


class ConsentSettings(ServiceSettings):
    """Settings of the consent service."""

    model_config = SettingsConfigDict(env_prefix="RAPPORT_CONSENT_")

    signing_folder: Path
    """Folder of the Ed25519 keys that sign receipts; retired keys stay in it. Required."""
    log_origin: Annotated[str, Field(pattern=r"^[^\s+]+$", max_length=200)] = "consent.rapport.example/log"
    """Name of the transparency log, for ever, best the address of a page about it; witnesses know the log by it."""
    log_witnesses: tuple[str, ...] = ()
    """Keys of the log's witnesses, as `rapport witness` prints them: what they sign is shown in proofs."""
    controller: ControllerSettings = ControllerSettings()
    """Who answers for the data."""
    gate: GateSettings = GateSettings()
    """The replica from which checks are answered."""
    links: LinkSettings | None = None
    """Links by which a person fetches a receipt over HTTP; with `http` only."""
    privacy: ParticipantSettings | None = None
    """The part that the ledger itself has in privacy requests; absent: it takes part in none."""
    requests: RequestSettings | None = None
    """Privacy requests; absent: none are taken in."""
    import_pause_s: Annotated[float, Field(gt=0)] = 0.5
    """An import waits while the oldest unpublished event is older than this."""
