"""Tables of the churn service. Hot paths use SQL on them; the declarations keep schema and code equal."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from rapport_chassis.database.columns import binary, moment, number, small, words
from rapport_chassis.database.tables import chassis_tables, service_base
from rapport_privacy.participant.tables import participant_tables
from rapport_privacy.reviews_table import reviews_table
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

if TYPE_CHECKING:
    Base = SQLModel
else:
    Base = service_base("churn")
chassis_tables(Base)
participant_tables(Base)
reviews_table(Base)


class LogHeadTable(Base, table=True):
    """The one row that every entry into the log locks: positions are in commit order, and none is left out."""

    __tablename__ = "log_head"
    __table_args__: ClassVar[Any] = (CheckConstraint("singleton", name="singleton"),)

    singleton: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    epoch: str = Field(sa_column=words())
    timeline: str = Field(sa_column=words())
    position: int = Field(sa_column=number())
    holdout_salt: bytes = Field(sa_column=binary())
    """Drawn once: with it, chance says for ever who is held out."""


class FactTable(Base, table=True):
    """The event log: of each fact the issue that holds. One that is issued again takes a new position."""

    __tablename__ = "facts"
    __table_args__: ClassVar[Any] = (
        Index("uq_facts_position", "position", unique=True),
        Index(None, "profile_id"),
        Index(None, "moved_from", postgresql_using="gin", postgresql_where=text("moved_from <> '{}'")),
    )

    fact_id: str = Field(sa_column=words(primary_key=True))
    position: int = Field(sa_column=number())
    profile_id: str = Field(sa_column=words())
    """Whose it is, as named by this issue."""
    moved_from: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'")))
    """Whose it was by the issues before: who follows the log may have missed any of them."""
    owner_version: int = Field(sa_column=number())
    kind: int = Field(sa_column=small())
    occurred_at: int = Field(sa_column=number())
    """Microseconds since 1970."""
    arrived_at: int = Field(sa_column=number())
    """The same, of when it was first recorded here."""
    value: int = Field(sa_column=number())
    quantity: int = Field(sa_column=number())
    channel: int = Field(sa_column=small())
    traceparent: str | None = Field(sa_column=words(nullable=True))
    """The span that entered it, where that is recorded."""


class HeldFactTable(Base, table=True):
    """Facts that a legal hold keeps of people who may not be profiled: out of the log, so in no feature or model."""

    __tablename__ = "held_facts"

    profile_id: str = Field(sa_column=words(primary_key=True))
    fact_id: str = Field(sa_column=words(primary_key=True))
    held_with: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    """Every id that stood for the person: a hold names any of them."""
    kind: int = Field(sa_column=small())
    occurred_at: int = Field(sa_column=number())
    arrived_at: int = Field(sa_column=number())
    value: int = Field(sa_column=number())
    quantity: int = Field(sa_column=number())
    channel: int = Field(sa_column=small())


class RemovalTable(Base, table=True):
    """What was taken away from people, at a position of the log."""

    __tablename__ = "removals"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("scope IN ('scores', 'facts', 'all')", name="scope"),
        Index("ix_removals_open", "position", postgresql_where=text("messages_deleted_at IS NULL")),
    )

    position: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    profile_ids: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    scope: str = Field(sa_column=words())
    removed_at: datetime = Field(sa_column=moment())
    messages_deleted_at: datetime | None = Field(sa_column=moment(nullable=True))
    """When what had been published was deleted from the stream, too."""
    counts: dict[str, int] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    """How many rows of each store were taken away: what a privacy request is answered with later."""


class DecisionTable(Base, table=True):
    """Scores as they were given, to be explained. One about an erased person keeps its id alone."""

    __tablename__ = "decisions"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("(profile_id = '') = (body IS NULL)", name="erased"),
        Index(None, "profile_id", postgresql_where=text("profile_id <> ''")),
        Index(None, "scored_at"),
    )

    decision_id: str = Field(sa_column=words(primary_key=True))
    profile_id: str = Field(sa_column=words())
    scored_at: datetime = Field(sa_column=moment())
    body: bytes | None = Field(sa_column=binary(nullable=True))
    """The score, as the contract's message."""
    features: bytes | None = Field(sa_column=binary(nullable=True))
    """What the model was given: doubles."""


class ScoreTable(Base, table=True):
    """The last score told of each customer. Without a body nothing is said of the customer."""

    __tablename__ = "scores"
    __table_args__: ClassVar[Any] = (
        CheckConstraint(
            "CASE WHEN body IS NULL THEN num_nonnulls(churn, value, at_stake) = 0 AND risk = 0 "
            "ELSE num_nulls(churn, value, at_stake, rescore_at) = 0 END",
            name="void",
        ),
        Index(None, "rescore_at", postgresql_where=text("rescore_at IS NOT NULL")),
        Index(None, "model_id", postgresql_where=text("body IS NOT NULL")),
        Index("ix_scores_churn", text("churn DESC"), "profile_id", postgresql_where=text("body IS NOT NULL")),
        Index("ix_scores_value", text("value DESC"), "profile_id", postgresql_where=text("body IS NOT NULL")),
        Index("ix_scores_at_stake", text("at_stake DESC"), "profile_id", postgresql_where=text("body IS NOT NULL")),
    )

    profile_id: str = Field(sa_column=words(primary_key=True))
    version: int = Field(sa_column=number())
    """Of score_updated; it never falls, whatever is removed."""
    risk_version: int = Field(sa_column=number())
    """Of risk_raised and risk_cleared, in the same way."""
    risk: int = Field(sa_column=small())
    """Level raised and not cleared, by the contract's number; 0 for none."""
    churn: float | None = Field(sa_column=Column(Double, nullable=True))
    """Chance of churn within the model's horizon, as it was last told."""
    value: int | None = Field(sa_column=number(nullable=True))
    """Expected spend, in minor units."""
    at_stake: float | None = Field(sa_column=Column(Double, nullable=True))
    """The product of the two."""
    segment: str = Field(sa_column=words())
    tier: str = Field(sa_column=words())
    model_id: str = Field(sa_column=words())
    scored_at: datetime = Field(sa_column=moment())
    rescore_at: datetime | None = Field(sa_column=moment(nullable=True))
    body: bytes | None = Field(sa_column=binary(nullable=True))
    """The score, as the contract's message."""
    traceparent: str | None = Field(sa_column=words(nullable=True))
    """The span that entered what the customer is to be scored for."""


class RescoringTable(Base, table=True):
    """How far the log has been read to score those again of whom something new was heard."""

    __tablename__ = "rescoring"
    __table_args__: ClassVar[Any] = (CheckConstraint("singleton", name="singleton"),)

    singleton: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    epoch: str = Field(sa_column=words())
    position: int = Field(sa_column=number())


class ModelTable(Base, table=True):
    """Models. One never changes, and none is deleted."""

    __tablename__ = "models"
    __table_args__: ClassVar[Any] = (Index("ix_models_created_at", "created_at", "model_id"),)

    model_id: str = Field(sa_column=words(primary_key=True))
    sha256: bytes = Field(sa_column=binary())
    """Names the artefact."""
    body: bytes = Field(sa_column=binary())
    """What is told of it, as the contract's message, without a role."""
    log_epoch: str = Field(sa_column=words())
    log_position: int = Field(sa_column=number())
    """It was trained on the log up to here: whoever was removed later may be in it."""
    created_at: datetime = Field(sa_column=moment())


class PromotionTable(Base, table=True):
    """Who had which role when; only ever added to."""

    __tablename__ = "promotions"
    __table_args__: ClassVar[Any] = (Index("ix_promotions_promoted_at", "promoted_at", "role", "version"),)

    role: int = Field(sa_column=small(primary_key=True, autoincrement=False))
    version: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    model_id: str = Field(sa_column=Column(Text, ForeignKey("models.model_id"), nullable=False))
    previous_model_id: str = Field(sa_column=words())
    promoted_at: datetime = Field(sa_column=moment())
    promoted_by: str = Field(sa_column=words())
    reason: str = Field(sa_column=words())
    despite_gates: bool = Field(sa_column=Column(Boolean, nullable=False))
