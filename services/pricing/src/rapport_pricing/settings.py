"""What the pricing service can be told from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from rapport_chassis.settings import PositiveSeconds, ServiceSettings, SettingsGroup
from rapport_privacy.settings import GateSettings


class PersonalSettings(SettingsGroup):
    """Personal prices: they can only lower, and only where the gate permits."""

    purpose_id: str = "pricing.personal"
    """The purpose that a personal price is: the gate is asked for it at every quote."""
    decisions_kept_days: Annotated[float, Field(gt=0)] = 400.0
    """For how long a quote can be explained."""


class PricingSettings(ServiceSettings):
    """Settings of the pricing service."""

    model_config = SettingsConfigDict(env_prefix="RAPPORT_PRICING_")

    signing_folder: Path
    """Folder of the Ed25519 keys that sign quotes; retired keys stay in it. Required."""
    gate: GateSettings | None = None
    """The consent gate. Without one nobody gets a personal price."""
    personal: PersonalSettings = PersonalSettings()
    """Personal prices: they can only lower, and only where the gate permits."""
    look_every_s: PositiveSeconds = 0.05
    """How often a process reads what others wrote to the catalogue: a price may be out of date by as long."""
