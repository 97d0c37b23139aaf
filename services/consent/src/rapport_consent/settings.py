"""What the consent service can be told from outside."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from rapport_chassis.settings import ServiceSettings, SettingsGroup


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


class ConsentSettings(ServiceSettings):
    """Settings of the consent service."""

    model_config = SettingsConfigDict(env_prefix="RAPPORT_CONSENT_")

    signing_folder: Path
    """Folder of the Ed25519 keys that sign receipts; retired keys stay in it. Required."""
    log_origin: Annotated[str, Field(pattern=r"^[^\s+]+$", max_length=200)] = "consent.rapport.example/log"
    """Name of the transparency log, for ever, best the address of a page about it; witnesses know the log by it."""
    controller: ControllerSettings = ControllerSettings()
    """Who answers for the data."""
    gate: GateSettings = GateSettings()
    """The replica from which checks are answered."""
    links: LinkSettings | None = None
    """Links by which a person fetches a receipt over HTTP; with `http` only."""
    import_pause_s: Annotated[float, Field(gt=0)] = 0.5
    """An import waits while the oldest unpublished event is older than this."""
