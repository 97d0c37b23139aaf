"""Tables of what is learned while it sells."""

from typing import Any, ClassVar

from rapport_chassis.database.columns import binary, number, small, words
from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, text
from sqlmodel import Field

from rapport_pricing.adapters.base import Base, real


class WaitingOutcomeTable(Base, table=True):
    """Outcomes that are not folded into counts yet."""

    __tablename__ = "waiting_outcomes"

    outcome_id: str = Field(sa_column=words(primary_key=True))


class ExposureTable(Base, table=True):
    """The most that was heard of each exposure of a published price."""

    __tablename__ = "exposures"
    __table_args__: ClassVar[Any] = (
        Index(
            "ix_exposures_pending",
            "product_id",
            "variant_id",
            "market",
            "heard_us",
            postgresql_where=text("news = 1 AND reported"),
        ),
        Index(None, "heard_us"),
    )

    product_id: str = Field(sa_column=words(primary_key=True))
    variant_id: str = Field(sa_column=words(primary_key=True))
    market: str = Field(sa_column=words(primary_key=True))
    price_version: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    exposure_id: str = Field(sa_column=words(primary_key=True))
    news: int = Field(sa_column=small())
    """By rank."""
    reported: bool = Field(sa_column=Column(Boolean, nullable=False))
    """Whether somebody said that the price was seen; a redemption alone does not."""
    heard_us: int = Field(sa_column=number())


class VersionCountTable(Base, table=True):
    """What each published price has to show: a sum over its exposures."""

    __tablename__ = "version_counts"

    product_id: str = Field(sa_column=words(primary_key=True))
    variant_id: str = Field(sa_column=words(primary_key=True))
    market: str = Field(sa_column=words(primary_key=True))
    price_version: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    shown: int = Field(sa_column=number())
    sold: int = Field(sa_column=number())
    pending: int = Field(sa_column=number())


class LearnerTable(Base, table=True):
    """Where learning stands for each listing, and who decides its price."""

    __tablename__ = "learners"
    __table_args__: ClassVar[Any] = (
        CheckConstraint(
            "mode IN ('learn', 'paused', 'pinned') AND (mode = 'pinned') = (pinned IS NOT NULL)", name="mode"
        ),
        Index("ix_learners_stirred", "decided_us", postgresql_where=text("stirred")),
        Index(None, "wake_us"),
    )

    product_id: str = Field(sa_column=words(primary_key=True))
    variant_id: str = Field(sa_column=words(primary_key=True))
    market: str = Field(sa_column=words(primary_key=True))
    mode: str = Field(sa_column=words(server_default="learn"))
    pinned: int | None = Field(sa_column=number(nullable=True))
    incident: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    stirred: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("true")))
    """Whether something happened since it was looked at."""
    wake_us: int | None = Field(sa_column=number(nullable=True))
    """When it is to be looked at anyway."""
    anchor: int | None = Field(sa_column=number(nullable=True))
    """The price that learning began with; none before it did."""
    prior: bytes | None = Field(sa_column=binary(nullable=True))
    """Weight of each shape of demand when it began, or when demand shifted last."""
    level_mean: float = Field(sa_column=real(server_default=text("0")))
    level_deviation: float = Field(sa_column=real(server_default=text("0")))
    level_free: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    """Whether the level is that at no price, not that at the anchor."""
    start_cell: int = Field(sa_column=Column(Integer, nullable=False, server_default=text("0")))
    since_turn: int = Field(sa_column=number(server_default=text("1")))
    """Outcomes of earlier turns count no more: demand had shifted."""
    turn: int = Field(sa_column=number(server_default=text("0")))
    target: int | None = Field(sa_column=number(nullable=True))
    settled: int | None = Field(sa_column=number(nullable=True))
    run_out: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    binding: str = Field(sa_column=words(server_default=""))
    stuck: str = Field(sa_column=words(server_default=""))
    """Why no price could be published."""
    weights: bytes | None = Field(sa_column=binary(nullable=True))
    """Weight of each shape when it was decided last: other products begin with it."""
    anchored: float | None = Field(sa_column=real(nullable=True))
    """Log-odds of a purchase at no price, as believed then; where `cost_share` is absent, those at the anchor."""
    cost_share: float | None = Field(sa_column=real(nullable=True))
    """Cost over the anchor then: slopes are alike by it."""
    decided_us: int = Field(sa_column=number(server_default=text("0")))


class LearnedTurnTable(Base, table=True):
    """Decisions: each is about the visits from then until the next. Only ever added to."""

    __tablename__ = "learned_turns"

    product_id: str = Field(sa_column=words(primary_key=True))
    variant_id: str = Field(sa_column=words(primary_key=True))
    market: str = Field(sa_column=words(primary_key=True))
    turn: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    price_version: int = Field(sa_column=number())
    cell: int = Field(sa_column=Column(Integer, nullable=False))
    price: int = Field(sa_column=number())
    expected: float = Field(sa_column=real())
    """Chance of a purchase, as believed then."""
    variance: float = Field(sa_column=real())
    explores: bool = Field(sa_column=Column(Boolean, nullable=False))
    base_shown: int = Field(sa_column=number())
    """What the price version had to show before."""
    base_sold: int = Field(sa_column=number())
    base_pending: int = Field(sa_column=number())
    at_us: int = Field(sa_column=number())
