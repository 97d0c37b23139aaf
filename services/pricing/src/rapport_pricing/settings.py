"""What the pricing service can be told from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from rapport_chassis.settings import PositiveSeconds, ServiceSettings, SettingsGroup
from rapport_privacy.settings import GateSettings, ParticipantSettings

from rapport_pricing.app.retention import RetentionRule

_DAY_US: Final = 86_400_000_000


class PersonalSettings(SettingsGroup):
    """Personal prices: they can only lower, and only where the gate permits."""

    purpose_id: str = "pricing.personal"
    """The purpose that a personal price is: the gate is asked for it at every quote."""
    look_every_s: PositiveSeconds = 1.0
    """How often offers are looked through for those that are over, or may not be offered any more."""
    decisions_kept_days: Annotated[float, Field(gt=0)] = 400.0
    """For how long a quote can be explained."""
    receipts_kept_years: Annotated[int, Field(ge=0, le=30)] = 10
    """How many whole years after its own a redeemed quote is kept, without whose it was: what taxes are paid by."""


class RetentionSettings(SettingsGroup):
    """Offers to customers who may leave."""

    promotion_id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,62}$")]
    """The individual promotion that is offered. Required."""
    brand_id: Annotated[str, Field(pattern=r"^([a-z][a-z0-9_-]{0,62})?$")] = ""
    """The brand that offers; needed where the purpose of personal prices has brands."""
    market: Annotated[str, Field(pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$")] = ""
    """The market; empty for all markets of the promotion."""
    least_level: Literal["elevated", "high", "critical"] = "high"
    """From which risk on."""
    holdout_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of customers who get no offer, by chance, so that the effect of offers can be measured."""
    quiet_days: Annotated[float, Field(ge=0)] = 90.0
    """How long nothing more is offered after an offer: threatening to leave is no way to a discount."""
    valid_days: Annotated[float, Field(gt=0)] = 14.0
    """How long an offer holds."""

    def rule(self) -> RetentionRule:
        """Return the rule."""
        return RetentionRule(
            self.promotion_id,
            self.brand_id,
            self.market,
            ("elevated", "high", "critical").index(self.least_level) + 1,
            self.holdout_share,
            round(self.quiet_days * _DAY_US),
            round(self.valid_days * _DAY_US),
        )


class PricingSettings(ServiceSettings):
    """Settings of the pricing service."""

    model_config = SettingsConfigDict(env_prefix="RAPPORT_PRICING_")

    signing_folder: Path
    """Folder of the Ed25519 keys that sign quotes; retired keys stay in it. Required."""
    gate: GateSettings | None = None
    """The consent gate. Without one nobody gets a personal price."""
    personal: PersonalSettings = PersonalSettings()
    """Personal prices: they can only lower, and only where the gate permits."""
    retention: RetentionSettings | None = None
    """Offers to customers who may leave; absent: none are made."""
    privacy: ParticipantSettings | None = None
    """Its part in privacy requests; absent: it takes part in none."""
    look_every_s: PositiveSeconds = 0.05
    """How often a process reads what others wrote to the catalogue: a price may be out of date by as long."""
    learn_every_s: PositiveSeconds = 0.5
    """How often it is looked whether outcomes came in, where there were none."""
    outcomes_kept_days: Annotated[float, Field(gt=0)] = 400.0
    """For how long outcomes are kept, and may be corrected by later ones. What they led to stays."""
