"""Tables of the pricing service. Hot paths use SQL on them; the declarations keep schema and code equal."""

from datetime import datetime
from typing import Any, ClassVar

from rapport_chassis.database.columns import binary, moment, number, small, words
from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from rapport_pricing.adapters.base import Base, counter
from rapport_pricing.adapters.tables_experiments import ExperimentAllocationTable, ExperimentUnitTable
from rapport_pricing.adapters.tables_learning import (
    ExposureTable,
    LearnedTurnTable,
    LearnerTable,
    VersionCountTable,
    WaitingOutcomeTable,
)

__all__ = [
    "Base",
    "ExperimentAllocationTable",
    "ExperimentUnitTable",
    "ExposureTable",
    "LearnedTurnTable",
    "LearnerTable",
    "VersionCountTable",
    "WaitingOutcomeTable",
]


class CatalogueHeadTable(Base, table=True):
    """The one row that every write to the catalogue locks: positions are in commit order, and none is left out."""

    __tablename__ = "catalogue_head"
    __table_args__: ClassVar[Any] = (CheckConstraint("singleton", name="singleton"),)

    singleton: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    epoch: str = Field(sa_column=words())
    timeline: str = Field(sa_column=words())
    position: int = Field(sa_column=number())
    recorded_at: datetime = Field(sa_column=moment())
    holdout_salt: bytes = Field(sa_column=binary())
    """Drawn once: with it, chance says for ever who is held out of an offer."""


class ProductVersionTable(Base, table=True):
    """Products; the one with the highest version holds. Only ever added to."""

    __tablename__ = "product_versions"
    __table_args__: ClassVar[Any] = (Index(None, "position"),)

    product_id: str = Field(sa_column=words(primary_key=True))
    version: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    position: int = Field(sa_column=number())
    body: bytes = Field(sa_column=binary())
    """The product, as the contract's message."""


class PublishedPriceTable(Base, table=True):
    """The ledger of published prices. Only ever added to."""

    __tablename__ = "published_prices"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("net >= 0 AND gross >= net", name="gross"),
        CheckConstraint("version > 0", name="version"),
        Index(None, "position"),
    )

    product_id: str = Field(sa_column=words(primary_key=True))
    variant_id: str = Field(sa_column=words(primary_key=True))
    market: str = Field(sa_column=words(primary_key=True))
    version: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    position: int = Field(sa_column=number())
    net: int = Field(sa_column=number())
    gross: int = Field(sa_column=number())
    currency: str = Field(sa_column=words())
    since_us: int = Field(sa_column=number())
    cause: str = Field(sa_column=words())
    promotion_id: str = Field(sa_column=words())
    binding: str = Field(sa_column=words())
    findings: list[Any] = Field(sa_column=Column(JSONB, nullable=False))
    """What each guardrail did: name, tier, floor, ceiling, verdict."""
    settled: int | None = Field(sa_column=number(nullable=True))
    """Where the price was published to learn: what protected customers pay."""


class StockTable(Base, table=True):
    """How much is left of each listing."""

    __tablename__ = "stocks"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("quantity >= 0 AND low_at >= 0", name="quantity"),
        Index(None, "position"),
    )

    product_id: str = Field(sa_column=words(primary_key=True))
    variant_id: str = Field(sa_column=words(primary_key=True))
    market: str = Field(sa_column=words(primary_key=True))
    version: int = Field(sa_column=number())
    position: int = Field(sa_column=number())
    quantity: int = Field(sa_column=number())
    low_at: int = Field(sa_column=number())
    expected_us: int | None = Field(sa_column=number(nullable=True))
    occurred_us: int = Field(sa_column=number())


class DecidedVersionTable(Base, table=True):
    """What was put in force and taken out of it, in order. Only ever added to: what held at any time can be told."""

    __tablename__ = "decided_versions"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("kind IN ('market', 'price_policy', 'promotion', 'experiment')", name="kind"),
    )

    position: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    kind: str = Field(sa_column=words())
    name: str = Field(sa_column=words())
    version: int = Field(sa_column=Column(Integer, nullable=False))
    """Of what was activated; 0 where the thing was retired whole."""
    since_us: int = Field(sa_column=number())
    retired: bool = Field(sa_column=Column(Boolean, nullable=False))


class DecisionTable(Base, table=True):
    """Quotes as they were given, to be explained. One about an erased person names nobody and says nothing."""

    __tablename__ = "decisions"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("(body IS NULL) = (inputs IS NULL)", name="erased"),
        Index(None, "profile_id", postgresql_where=text("profile_id <> ''")),
        Index(None, "issued_at"),
    )

    decision_id: str = Field(sa_column=words(primary_key=True))
    quote_id: str = Field(sa_column=words())
    profile_id: str = Field(sa_column=words())
    issued_at: datetime = Field(sa_column=moment())
    epoch: str = Field(sa_column=words())
    position: int = Field(sa_column=number())
    """What was known of the catalogue."""
    body: bytes | None = Field(sa_column=binary(nullable=True))
    """The quote, as the contract's message."""
    inputs: str | None = Field(sa_column=words(nullable=True))
    """What it was made from besides the catalogue: JSON."""


class TallyTable(Base, table=True):
    """What of each promotion with a cap is held and used, by everybody."""

    __tablename__ = "tallies"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("least(reserved_uses, reserved_amount, committed_uses, committed_amount) >= 0", name="counts"),
    )

    promotion_id: str = Field(sa_column=words(primary_key=True))
    reserved_uses: int = Field(sa_column=number(server_default=text("0")))
    reserved_amount: int = Field(sa_column=number(server_default=text("0")))
    committed_uses: int = Field(sa_column=number(server_default=text("0")))
    committed_amount: int = Field(sa_column=number(server_default=text("0")))


class ReservationTable(Base, table=True):
    """Uses of promotions that quotes hold, or held."""

    __tablename__ = "reservations"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("state IN ('held', 'committed', 'released')", name="state"),
        Index("ix_reservations_held", "until_us", postgresql_where=text("state = 'held'")),
        Index("ix_reservations_profile_id", "profile_id", "promotion_id", postgresql_where=text("profile_id <> ''")),
    )

    promotion_id: str = Field(sa_column=words(primary_key=True))
    quote_id: str = Field(sa_column=words(primary_key=True))
    profile_id: str = Field(sa_column=words())
    amount: int = Field(sa_column=number())
    until_us: int = Field(sa_column=number())
    state: str = Field(sa_column=words())


class RedemptionTable(Base, table=True):
    """Quotes that were used, each once."""

    __tablename__ = "redemptions"
    __table_args__: ClassVar[Any] = (
        Index(None, "profile_id", postgresql_where=text("profile_id <> ''")),
        Index(None, "named_id", postgresql_where=text("named_id <> ''")),
    )

    quote_id: str = Field(sa_column=words(primary_key=True))
    order_id: str = Field(sa_column=words())
    profile_id: str = Field(sa_column=words())
    decision_id: str = Field(sa_column=words())
    fact_id: str = Field(sa_column=words())
    """Of the event that tells of it; empty for nobody in particular."""
    body: bytes = Field(sa_column=binary())
    """What was answered, as the contract's message."""
    redeemed_at: datetime = Field(sa_column=moment())
    named_id: str = Field(sa_column=words(server_default=""))
    """The id that the caller named: by it a redemption follows its person when one turns out to be two."""
    owner_version: int = Field(sa_column=number(server_default=text("1")))
    told: bytes | None = Field(sa_column=binary(nullable=True))
    """The event that tells of it."""


class OutcomeTable(Base, table=True):
    """What became of prices that were shown, in the order in which it came to be known."""

    __tablename__ = "outcomes"
    __table_args__: ClassVar[Any] = (Index("uq_outcomes_seq", "seq", unique=True), Index(None, "recorded_at"))

    outcome_id: str = Field(sa_column=words(primary_key=True))
    seq: int = Field(sa_column=counter())
    exposure_id: str = Field(sa_column=words())
    product_id: str = Field(sa_column=words())
    variant_id: str = Field(sa_column=words())
    market: str = Field(sa_column=words())
    price_version: int = Field(sa_column=number())
    kind: int = Field(sa_column=small())
    """By the contract's number."""
    quantity: int = Field(sa_column=number())
    quote_id: str = Field(sa_column=words())
    occurred_us: int = Field(sa_column=number())
    recorded_at: datetime = Field(sa_column=moment())


class OfferTable(Base, table=True):
    """Offers to customers, held-out ones included. Of an offer nothing changes but where it stands."""

    __tablename__ = "offers"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("state IN ('open', 'used_up', 'lapsed', 'withdrawn', 'not_permitted')", name="state"),
        CheckConstraint("treatment IN ('treated', 'held_out')", name="treatment"),
        Index(None, "position"),
        Index("ix_offers_profile_id", "profile_id", "created_us"),
        Index("ix_offers_open", "until_us", postgresql_where=text("state = 'open'")),
    )

    offer_id: str = Field(sa_column=words(primary_key=True))
    version: int = Field(sa_column=number())
    position: int = Field(sa_column=number())
    profile_id: str = Field(sa_column=words())
    state: str = Field(sa_column=words())
    treatment: str = Field(sa_column=words())
    promotion_id: str = Field(sa_column=words())
    promotion_version: int = Field(sa_column=Column(Integer, nullable=False))
    decision_id: str = Field(sa_column=words())
    cause_event_id: str = Field(sa_column=words())
    brand_id: str = Field(sa_column=words())
    market: str = Field(sa_column=words())
    since_us: int = Field(sa_column=number())
    until_us: int = Field(sa_column=number())
    created_us: int = Field(sa_column=number())
    permission: bytes = Field(sa_column=binary())
    """The gate's answer, as the contract's message."""


class RiskTable(Base, table=True):
    """The newest that was heard of each customer's risk; and what it was, while it waits for an answer."""

    __tablename__ = "risks"
    __table_args__: ClassVar[Any] = (
        Index("ix_risks_waiting", "profile_id", postgresql_where=text("waiting_event_id <> ''")),
    )

    profile_id: str = Field(sa_column=words(primary_key=True))
    version: int = Field(sa_column=number())
    waiting_event_id: str = Field(sa_column=words(server_default=""))
    """The event that raised it; empty unless it waits."""
    waiting_level: int = Field(sa_column=small(server_default=text("0")))
    waiting_held_out: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))
