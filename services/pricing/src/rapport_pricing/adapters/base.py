"""What the tables of the service are declared with."""

from typing import TYPE_CHECKING, Any

from rapport_chassis.database.tables import chassis_tables, service_base
from rapport_privacy.participant.tables import participant_tables
from rapport_privacy.reviews_table import reviews_table
from sqlalchemy import BigInteger, Column, DateTime, Double, Identity, LargeBinary, SmallInteger, Text
from sqlmodel import SQLModel

if TYPE_CHECKING:
    Base = SQLModel
else:
    Base = service_base("pricing")
chassis_tables(Base)
participant_tables(Base)
reviews_table(Base)


def moment(*, nullable: bool = False, **options: Any) -> Any:
    """A time."""
    return Column(DateTime(timezone=True), nullable=nullable, **options)


def words(**options: Any) -> Any:
    """A text."""
    return Column(Text, **{"nullable": False, **options})


def binary(*, nullable: bool = False, **options: Any) -> Any:
    """Bytes."""
    return Column(LargeBinary, nullable=nullable, **options)


def number(**options: Any) -> Any:
    """A number; amounts are minor units, times microseconds since 1970."""
    return Column(BigInteger, **{"nullable": False, **options})


def real(**options: Any) -> Any:
    """A number with a fraction; never an amount."""
    return Column(Double, **{"nullable": False, **options})


def counter() -> Any:
    """A number that the database counts up."""
    return Column(BigInteger, Identity(always=True), nullable=False)


def small(**options: Any) -> Any:
    """A small number."""
    return Column(SmallInteger, **{"nullable": False, **options})
