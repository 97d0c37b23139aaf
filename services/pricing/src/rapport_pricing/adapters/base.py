"""What the tables of the service are declared with."""

from typing import TYPE_CHECKING, Any

from rapport_chassis.database.tables import chassis_tables, service_base
from rapport_privacy.participant.tables import participant_tables
from rapport_privacy.reviews_table import reviews_table
from sqlalchemy import BigInteger, Column, Double, Identity
from sqlmodel import SQLModel

if TYPE_CHECKING:
    Base = SQLModel
else:
    Base = service_base("pricing")
chassis_tables(Base)
participant_tables(Base)
reviews_table(Base)


def real(**options: Any) -> Any:
    """A number with a fraction; never an amount."""
    return Column(Double, **{"nullable": False, **options})


def counter() -> Any:
    """A number that the database counts up."""
    return Column(BigInteger, Identity(always=True), nullable=False)
