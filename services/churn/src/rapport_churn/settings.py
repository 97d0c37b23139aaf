"""What the churn service can be told from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict
from rapport_chassis.settings import PositiveSeconds, ServiceSettings, SettingsGroup, TlsFiles
from rapport_privacy.settings import GateSettings, ParticipantSettings

from rapport_churn.domain.risk import RiskPolicy

Share = Annotated[float, Field(ge=0, le=1)]


class ProfilingSettings(SettingsGroup):
    """What customers are profiled for, and from what."""

    purpose_id: str = "profiling.churn"
    """The purpose that scoring is: the gate is asked for it at every score."""
    brand_id: Annotated[str, Field(pattern=r"^([a-z][a-z0-9_-]{0,62})?$")] = ""
    """The brand whose customers are scored without being asked for; needed where the purpose has brands."""
    log_purpose_ids: tuple[str, ...] = ("profiling.churn", "analytics.visits", "offers.personal")
    """A touchpoint is kept only if it was collected for one of these purposes."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    """Amounts in another currency count as events without an amount."""
    holdout_share: Share = 0.05
    """Share of customers, chosen by chance, whom nobody may treat because of their risk."""
    decisions_kept_days: Annotated[float, Field(gt=0)] = 365.0
    """For how long a score can be explained."""
    states_most: Annotated[int, Field(gt=0)] = 200_000
    """Customers whose state a process keeps in memory."""
    look_every_s: PositiveSeconds = 0.2
    """How often a process reads what others entered into the log: a score may be out of date by as long."""


class RiskSettings(SettingsGroup):
    """When a customer is said to be at risk, by the chance of churn within the horizon of the model."""

    elevated: Share = 0.6
    """From here on the risk is elevated."""
    high: Share = 0.75
    """From here on it is high."""
    critical: Share = 0.9
    """From here on it is critical."""
    margin: Share = 0.05
    """A level ends only when the chance has fallen so far below its beginning."""
    material: Share = 0.05
    """A score is told anew when the chance has moved by so much."""

    @model_validator(mode="after")
    def _in_order(self) -> RiskSettings:
        self.policy()
        return self

    def policy(self) -> RiskPolicy:
        """Return the rule."""
        return RiskPolicy(**self.model_dump())


class RescoringSettings(SettingsGroup):
    """When customers are scored without being asked for."""

    every_hours: Annotated[float, Field(gt=0)] = 24.0
    """How old the score of a customer grows of whom nothing new is heard."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of a process's time that it takes at most."""


class EffortSettings(SettingsGroup):
    """How much a training tries."""

    draws: Annotated[int, Field(gt=0)] = 12
    """Settings of trees that are tried."""
    bag: Annotated[int, Field(gt=0)] = 3
    """Fits of trees that are put together."""
    origins: Annotated[int, Field(gt=0)] = 4
    """Instants of the past that are replayed to choose."""
    search_rows: Annotated[int, Field(gt=0)] = 20_000
    """Rows that a search learns from at most."""
    rows: Annotated[int, Field(gt=0)] = 120_000
    """Rows that a model learns from at most."""
    cutoffs: Annotated[int, Field(gt=0)] = 40
    """Snapshots of the past, a fortnight apart, that a model learns from at most."""
    people: Annotated[int, Field(gt=0)] = 40_000
    """People that a model learns from at most: of more, as many are drawn by chance."""


class ModelSettings(SettingsGroup):
    """Models, and where they are kept."""

    folder: Path
    """Folder of the artefacts, each under its digest, shared by all processes. Required."""
    work_folder: Path
    """Folder in which models are made, of this machine alone; nothing stays in it. Required."""
    effort: EffortSettings = EffortSettings()
    """How much a training tries."""
    renew_after_s: PositiveSeconds = 30.0
    """How long others are waited for once somebody withdrew from whom the model that serves was learned; then another
    is trained without them."""
    look_every_s: PositiveSeconds = 0.25
    """How often a process looks which model serves: a rollback takes effect everywhere within as long."""


class ChurnSettings(ServiceSettings):
    """Settings of the churn service."""

    model_config = SettingsConfigDict(env_prefix="RAPPORT_CHURN_")

    gate: GateSettings | None = None
    """The consent gate. Without one nobody is scored."""
    eraser: TlsFiles | None = None
    """Certificate of the user that may delete messages of the service's stream; absent: none can be deleted."""
    privacy: ParticipantSettings | None = None
    """Its part in privacy requests; absent: it takes part in none."""
    profiling: ProfilingSettings = ProfilingSettings()
    """What customers are profiled for, and from what."""
    risk: RiskSettings = RiskSettings()
    """When a customer is said to be at risk."""
    rescoring: RescoringSettings = RescoringSettings()
    """When customers are scored without being asked for."""
    models: ModelSettings
    """Models, and where they are kept."""
