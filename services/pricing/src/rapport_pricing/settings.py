"""What the pricing service can be told from outside."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict
from rapport_chassis.settings import PositiveSeconds, ServiceSettings


class PricingSettings(ServiceSettings):
    """Settings of the pricing service."""

    model_config = SettingsConfigDict(env_prefix="RAPPORT_PRICING_")

    look_every_s: PositiveSeconds = 0.05
    """How often a process reads what others wrote to the catalogue: a price may be out of date by as long."""
