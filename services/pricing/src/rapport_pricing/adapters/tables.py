"""Tables of the pricing service. Hot paths use SQL on them; the declarations keep schema and code equal."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from rapport_chassis.database.tables import chassis_tables, service_base
from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, Index, Integer, LargeBinary, Text, text
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
