"""Tables of experiments."""

from datetime import datetime
from typing import Any, ClassVar

from rapport_chassis.database.columns import moment, number, words
from sqlalchemy import Column, Index, Integer, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from rapport_pricing.adapters.base import Base, real


class ExperimentAllocationTable(Base, table=True):
    """How a bandit gives out arms from a time on. Only ever added to: what held at any time can be told."""

    __tablename__ = "experiment_allocations"
    __table_args__: ClassVar[Any] = (Index(None, "position"),)

    experiment_id: str = Field(sa_column=words(primary_key=True))
    version: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    since_us: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    position: int = Field(sa_column=number())
    shares: dict[str, int] = Field(sa_column=Column(JSONB, nullable=False))


class ExperimentUnitTable(Base, table=True):
    """Accounts, or stretches of time of a market: which arm each was given, and what it earned."""

    __tablename__ = "experiment_units"
    __table_args__: ClassVar[Any] = (Index(None, "profile_id", postgresql_where=text("profile_id <> ''")),)

    experiment_id: str = Field(sa_column=words(primary_key=True))
    version: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    unit_id: str = Field(sa_column=words(primary_key=True))
    profile_id: str = Field(sa_column=words())
    """Of an account; empty for a stretch, and if the person was erased."""
    arm: str = Field(sa_column=words())
    propensity: float = Field(sa_column=real())
    """The chance with which it was given."""
    first_at: datetime = Field(sa_column=moment())
    quotes: int = Field(sa_column=number())
    redeemed: int = Field(sa_column=number(server_default=text("0")))
    earned: int = Field(sa_column=number(server_default=text("0")))
    currency: str = Field(sa_column=words())
