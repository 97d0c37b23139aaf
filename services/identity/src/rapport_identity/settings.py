"""What the identity service can be told from outside."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from rapport_chassis.settings import DatabaseSettings, ServiceSettings, SettingsGroup
from rapport_privacy.settings import GateSettings, ParticipantSettings


class KeySettings(SettingsGroup):
    """The keys that records are encrypted and found with. None of them is in a backup of the service's database."""

    database: DatabaseSettings
    """The key store: a database of its own, with roles of its own."""
    epoch_folder: Path
    """Folder of the keys that wrap the data keys; one is added and the old one destroyed at each rotation. Required."""
    hash_folder: Path
    """Folder of the keys that identifiers are hashed with. Required."""
    rotate_every_days: Annotated[float, Field(gt=0, le=30)] = 25.0
    """How old the wrapping key grows: what is erased is unreadable in backups of the key store after as long."""
    rotate_hashes_every_days: Annotated[float, Field(gt=0)] = 365.0
    """How old the hash key grows before rows are taken to a new one. An operator may begin it earlier."""
    look_every_s: Annotated[float, Field(gt=0)] = 60.0
    """How often a process looks whether an operator has brought a new hash key, and goes on with a rotation."""


class AnniversarySettings(SettingsGroup):
    """Birthdays and customers' anniversaries, of which others are told that they have come."""

    purpose_id: str = "offers.personal"
    """The purpose that congratulating is: without the gate's permit for it nobody is told that a day has come."""
    look_every_s: Annotated[float, Field(gt=0)] = 900.0
    """How often everybody is looked at."""


class IdentitySettings(ServiceSettings):
    """Settings of the identity service."""

    model_config = SettingsConfigDict(env_prefix="RAPPORT_IDENTITY_")

    keys: KeySettings
    """The keys that records are encrypted and found with."""
    gate: GateSettings | None = None
    """The consent gate. Without one, whatever needs a permission is answered as not ready: records too."""
    privacy: ParticipantSettings | None = None
    """Its part in privacy requests; absent: it takes part in none."""
    touchpoints_kept_days: Annotated[float, Field(gt=0)] = 1095.0
    """For how long touchpoints are kept, so that a split can tell of them again; no request or hold may be on them."""
    suppressed_days: Annotated[float, Field(gt=0)] = 1095.0
    """For how long what is of the time before an erasure is kept from coming back: longer than any source keeps it."""
    anniversaries: AnniversarySettings = AnniversarySettings()
    """Birthdays and customers' anniversaries."""
    import_pause_s: Annotated[float, Field(gt=0)] = 0.5
    """A stream of touchpoints waits while the oldest unpublished event is older than this."""
    events_kept_days: Annotated[float, Field(gt=0)] = 90.0
    """For how long a touchpoint that its source sends again is answered and not repeated."""
    refresh_every_s: Annotated[float, Field(gt=0)] = 0.25
    """How often a process reads what others wrote: a look-up without a token may be out of date by as long."""
