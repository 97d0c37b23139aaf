"""The table of reviews as a service's metadata declares it, so that a check finds where its schema differs."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlmodel import SQLModel


def reviews_table(base: type[SQLModel]) -> None:
    """Declare the table in the metadata of a service, whose migrations make it."""
    Table(
        "reviews",
        base.metadata,
        Column("review_id", Text, primary_key=True),
        Column("decision_id", Text, nullable=False),
        Column("profile_id", Text, nullable=False),
        Column("ground", SmallInteger, nullable=False),
        Column("state", Text, nullable=False),
        Column("requested_at", TIMESTAMP(timezone=True), nullable=False),
        Column("decided_at", TIMESTAMP(timezone=True)),
        Column("decided_by", Text, nullable=False, server_default=""),
        Column("reason", Text, nullable=False, server_default=""),
        CheckConstraint("state IN ('open', 'confirmed', 'set_aside')", name="state"),
        CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="decided"),
        Index(None, "decision_id"),
        Index(None, "profile_id"),
        Index("ix_reviews_requested_at", "requested_at", "review_id"),
    )
