"""Tables of matchers, and of what stewards are asked."""

from datetime import datetime
from typing import Any, ClassVar

from rapport_chassis.database.columns import binary, moment, number, words
from sqlalchemy import Boolean, CheckConstraint, Column, Double, ForeignKey, Index, Text, text
from sqlmodel import Field

from rapport_identity.adapters.tables import Base


class MatcherTable(Base, table=True):
    """Matchers. One never changes: another one is made, and an earlier one activated again."""

    __tablename__ = "matchers"
    __table_args__: ClassVar[Any] = (CheckConstraint("origin IN ('default', 'trained', 'imported')", name="origin"),)

    matcher_id: str = Field(sa_column=words(primary_key=True))
    origin: str = Field(sa_column=words())
    sha256: bytes = Field(sa_column=binary())
    body: bytes = Field(sa_column=binary())
    """Weights and frequencies as JSON, values under a keyed hash."""
    key_id: bytes = Field(sa_column=binary(index=True))
    """The key of that hash, in the key store."""
    trained_on: int = Field(sa_column=number())
    created_at: datetime = Field(sa_column=moment(index=True))


class MatcherActivationTable(Base, table=True):
    """Which matcher decided from which position on; the last is in force. An earlier matcher comes as another row."""

    __tablename__ = "matcher_activations"

    position: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    matcher_id: str = Field(sa_column=Column(Text, ForeignKey("matchers.matcher_id"), nullable=False, index=True))
    activated_at: datetime = Field(sa_column=moment())
    activated_by: str = Field(sa_column=words())
    reason: str = Field(sa_column=words())
    last_record: int = Field(sa_column=number())
    """The highest number that a record had then; those that came since were joined by it at once."""
    joined_to: int = Field(sa_column=number(server_default="0"))
    """Records up to this number are joined by it."""


class MatcherPreviewTable(Base, table=True):
    """How many records each matcher would move, as it was last computed."""

    __tablename__ = "matcher_previews"

    matcher_id: str = Field(sa_column=Column(Text, ForeignKey("matchers.matcher_id"), primary_key=True))
    against_matcher_id: str = Field(sa_column=words(primary_key=True))
    records_moved: int = Field(sa_column=number())
    as_of: datetime = Field(sa_column=moment())


class ReviewTable(Base, table=True):
    """Questions to stewards, and what they answered."""

    __tablename__ = "reviews"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("first_no < second_no", name="pair"),
        CheckConstraint("verdict IN ('', 'same', 'different', 'undecided')", name="verdict"),
        CheckConstraint("(verdict = '') = (decided_at IS NULL)", name="decided"),
        Index("uq_reviews_open", "first_no", "second_no", unique=True, postgresql_where="verdict = ''"),
        Index("ix_reviews_gain", "gain", "review_id", postgresql_where="verdict = ''"),
        Index("ix_reviews_decided_at", "decided_at", "review_id", postgresql_where="verdict <> ''"),
    )

    review_id: str = Field(sa_column=words(primary_key=True))
    cause: str = Field(sa_column=words())
    first_no: int = Field(sa_column=number(index=True))
    second_no: int = Field(sa_column=number(index=True))
    gain: float = Field(sa_column=Column(Double, nullable=False))
    """How much an answer is expected to teach, in bits."""
    evidence: bytes = Field(sa_column=binary())
    """Digest of what it rests on: one that could not be told is not asked again while this is the same."""
    created_at: datetime = Field(sa_column=moment())
    verdict: str = Field(sa_column=words(server_default=""))
    decided_by: str = Field(sa_column=words(server_default=""))
    decided_at: datetime | None = Field(sa_column=moment(nullable=True))
    reason: str = Field(sa_column=words(server_default=""))


class ReviewProgressTable(Base, table=True):
    """The one row that says up to which position close calls were looked for, and as which matcher sees them."""

    __tablename__ = "review_progress"
    __table_args__: ClassVar[Any] = (CheckConstraint("singleton", name="singleton"),)

    singleton: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    position: int = Field(sa_column=number(server_default="0"))
    matcher_id: str = Field(sa_column=words(server_default=""))
