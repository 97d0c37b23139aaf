"""Tables of the pricing service. Hot paths use SQL on them; the declarations keep schema and code equal."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from rapport_chassis.database.tables import chassis_tables, service_base
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

if TYPE_CHECKING:
    Base = SQLModel
else:
    Base = service_base("pricing")
chassis_tables(Base)


def _time(*, nullable: bool = False, **options: Any) -> Any:
    return Column(DateTime(timezone=True), nullable=nullable, **options)


def _text(**options: Any) -> Any:
    return Column(Text, **{"nullable": False, **options})


def _bytes(*, nullable: bool = False, **options: Any) -> Any:
    return Column(LargeBinary, nullable=nullable, **options)


def _number(**options: Any) -> Any:
    """A number; amounts are minor units, times microseconds since 1970."""
    return Column(BigInteger, **{"nullable": False, **options})


def _number_by_itself() -> Any:
    """A number that the database counts up."""
    return Column(BigInteger, Identity(always=True), nullable=False)


def _small(**options: Any) -> Any:
    return Column(SmallInteger, **{"nullable": False, **options})


class CatalogueHeadTable(Base, table=True):
    """The one row that every write to the catalogue locks: positions are in commit order, and none is left out."""

    __tablename__ = "catalogue_head"
    __table_args__: ClassVar[Any] = (CheckConstraint("singleton", name="singleton"),)

    singleton: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    epoch: str = Field(sa_column=_text())
    timeline: str = Field(sa_column=_text())
    position: int = Field(sa_column=_number())
    recorded_at: datetime = Field(sa_column=_time())
    holdout_salt: bytes = Field(sa_column=_bytes())
    """Drawn once: with it, chance says for ever who is held out of an offer."""


class ProductVersionTable(Base, table=True):
    """Products; the one with the highest version holds. Only ever added to."""

    __tablename__ = "product_versions"
    __table_args__: ClassVar[Any] = (Index(None, "position"),)

    product_id: str = Field(sa_column=_text(primary_key=True))
    version: int = Field(sa_column=_number(primary_key=True, autoincrement=False))
    position: int = Field(sa_column=_number())
    body: bytes = Field(sa_column=_bytes())
    """The product, as the contract's message."""


class PublishedPriceTable(Base, table=True):
    """The ledger of published prices. Only ever added to."""

    __tablename__ = "published_prices"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("net >= 0 AND gross >= net", name="gross"),
        CheckConstraint("version > 0", name="version"),
        Index(None, "position"),
    )

    product_id: str = Field(sa_column=_text(primary_key=True))
    variant_id: str = Field(sa_column=_text(primary_key=True))
    market: str = Field(sa_column=_text(primary_key=True))
    version: int = Field(sa_column=_number(primary_key=True, autoincrement=False))
    position: int = Field(sa_column=_number())
    net: int = Field(sa_column=_number())
    gross: int = Field(sa_column=_number())
    currency: str = Field(sa_column=_text())
    since_us: int = Field(sa_column=_number())
    cause: str = Field(sa_column=_text())
    promotion_id: str = Field(sa_column=_text())
    binding: str = Field(sa_column=_text())
    findings: list[Any] = Field(sa_column=Column(JSONB, nullable=False))
    """What each guardrail did: name, tier, floor, ceiling, verdict."""


class StockTable(Base, table=True):
    """How much is left of each listing."""

    __tablename__ = "stocks"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("quantity >= 0 AND low_at >= 0", name="quantity"),
        Index(None, "position"),
    )

    product_id: str = Field(sa_column=_text(primary_key=True))
    variant_id: str = Field(sa_column=_text(primary_key=True))
    market: str = Field(sa_column=_text(primary_key=True))
    version: int = Field(sa_column=_number())
    position: int = Field(sa_column=_number())
    quantity: int = Field(sa_column=_number())
    low_at: int = Field(sa_column=_number())
    expected_us: int | None = Field(sa_column=_number(nullable=True))
    occurred_us: int = Field(sa_column=_number())


class DecidedVersionTable(Base, table=True):
    """What was put in force and taken out of it, in order. Only ever added to: what held at any time can be told."""

    __tablename__ = "decided_versions"
    __table_args__: ClassVar[Any] = (CheckConstraint("kind IN ('market', 'price_policy', 'promotion')", name="kind"),)

    position: int = Field(sa_column=_number(primary_key=True, autoincrement=False))
    kind: str = Field(sa_column=_text())
    name: str = Field(sa_column=_text())
    version: int = Field(sa_column=Column(Integer, nullable=False))
    """Of what was activated; 0 where the thing was retired whole."""
    since_us: int = Field(sa_column=_number())
    retired: bool = Field(sa_column=Column(Boolean, nullable=False))


class DecisionTable(Base, table=True):
    """Quotes as they were given, to be explained. One about an erased person names nobody and says nothing."""

    __tablename__ = "decisions"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("(body IS NULL) = (inputs IS NULL)", name="erased"),
        Index(None, "profile_id", postgresql_where=text("profile_id <> ''")),
        Index(None, "issued_at"),
    )

    decision_id: str = Field(sa_column=_text(primary_key=True))
    quote_id: str = Field(sa_column=_text())
    profile_id: str = Field(sa_column=_text())
    issued_at: datetime = Field(sa_column=_time())
    epoch: str = Field(sa_column=_text())
    position: int = Field(sa_column=_number())
    """What was known of the catalogue."""
    body: bytes | None = Field(sa_column=_bytes(nullable=True))
    """The quote, as the contract's message."""
    inputs: str | None = Field(sa_column=_text(nullable=True))
    """What it was made from besides the catalogue: JSON."""


class TallyTable(Base, table=True):
    """What of each promotion with a cap is held and used, by everybody."""

    __tablename__ = "tallies"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("least(reserved_uses, reserved_amount, committed_uses, committed_amount) >= 0", name="counts"),
    )

    promotion_id: str = Field(sa_column=_text(primary_key=True))
    reserved_uses: int = Field(sa_column=_number(server_default=text("0")))
    reserved_amount: int = Field(sa_column=_number(server_default=text("0")))
    committed_uses: int = Field(sa_column=_number(server_default=text("0")))
    committed_amount: int = Field(sa_column=_number(server_default=text("0")))


class ReservationTable(Base, table=True):
    """Uses of promotions that quotes hold, or held."""

    __tablename__ = "reservations"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("state IN ('held', 'committed', 'released')", name="state"),
        Index("ix_reservations_held", "until_us", postgresql_where=text("state = 'held'")),
        Index("ix_reservations_profile_id", "profile_id", "promotion_id", postgresql_where=text("profile_id <> ''")),
    )

    promotion_id: str = Field(sa_column=_text(primary_key=True))
    quote_id: str = Field(sa_column=_text(primary_key=True))
    profile_id: str = Field(sa_column=_text())
    amount: int = Field(sa_column=_number())
    until_us: int = Field(sa_column=_number())
    state: str = Field(sa_column=_text())


class RedemptionTable(Base, table=True):
    """Quotes that were used, each once."""

    __tablename__ = "redemptions"
    __table_args__: ClassVar[Any] = (Index(None, "profile_id", postgresql_where=text("profile_id <> ''")),)

    quote_id: str = Field(sa_column=_text(primary_key=True))
    order_id: str = Field(sa_column=_text())
    profile_id: str = Field(sa_column=_text())
    decision_id: str = Field(sa_column=_text())
    fact_id: str = Field(sa_column=_text())
    """Of the event that tells of it; empty for nobody in particular."""
    body: bytes = Field(sa_column=_bytes())
    """What was answered, as the contract's message."""
    redeemed_at: datetime = Field(sa_column=_time())


class OutcomeTable(Base, table=True):
    """What became of prices that were shown, in the order in which it came to be known."""

    __tablename__ = "outcomes"
    __table_args__: ClassVar[Any] = (Index("uq_outcomes_seq", "seq", unique=True), Index(None, "recorded_at"))

    outcome_id: str = Field(sa_column=_text(primary_key=True))
    seq: int = Field(sa_column=_number_by_itself())
    exposure_id: str = Field(sa_column=_text())
    product_id: str = Field(sa_column=_text())
    variant_id: str = Field(sa_column=_text())
    market: str = Field(sa_column=_text())
    price_version: int = Field(sa_column=_number())
    kind: int = Field(sa_column=_small())
    """By the contract's number."""
    quantity: int = Field(sa_column=_number())
    quote_id: str = Field(sa_column=_text())
    occurred_us: int = Field(sa_column=_number())
    recorded_at: datetime = Field(sa_column=_time())


class ReviewTable(Base, table=True):
    """Decisions that a human is asked to look at. One about an erased person names nobody."""

    __tablename__ = "reviews"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("state IN ('open', 'confirmed', 'set_aside')", name="state"),
        CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="decided"),
        Index(None, "decision_id"),
        Index(None, "profile_id"),
        Index("ix_reviews_requested_at", "requested_at", "review_id"),
    )

    review_id: str = Field(sa_column=_text(primary_key=True))
    decision_id: str = Field(sa_column=_text())
    profile_id: str = Field(sa_column=_text())
    ground: int = Field(sa_column=_small())
    state: str = Field(sa_column=_text())
    requested_at: datetime = Field(sa_column=_time())
    decided_at: datetime | None = Field(sa_column=_time(nullable=True))
    decided_by: str = Field(sa_column=_text(server_default=""))
    reason: str = Field(sa_column=_text(server_default=""))


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

    offer_id: str = Field(sa_column=_text(primary_key=True))
    version: int = Field(sa_column=_number())
    position: int = Field(sa_column=_number())
    profile_id: str = Field(sa_column=_text())
    state: str = Field(sa_column=_text())
    treatment: str = Field(sa_column=_text())
    promotion_id: str = Field(sa_column=_text())
    promotion_version: int = Field(sa_column=Column(Integer, nullable=False))
    decision_id: str = Field(sa_column=_text())
    cause_event_id: str = Field(sa_column=_text())
    brand_id: str = Field(sa_column=_text())
    market: str = Field(sa_column=_text())
    since_us: int = Field(sa_column=_number())
    until_us: int = Field(sa_column=_number())
    created_us: int = Field(sa_column=_number())
    permission: bytes = Field(sa_column=_bytes())
    """The gate's answer, as the contract's message."""


class RiskTable(Base, table=True):
    """The newest that was heard of each customer's risk."""

    __tablename__ = "risks"

    profile_id: str = Field(sa_column=_text(primary_key=True))
    version: int = Field(sa_column=_number())
