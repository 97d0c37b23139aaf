"""The participant's tables as a service's metadata declares them, so that a check finds where its schema differs."""

from __future__ import annotations

from typing import Final

from rapport_chassis.database.columns import moment
from sqlalchemy import BigInteger, CheckConstraint, Column, Index, MetaData, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import SQLModel

_STATES: Final = "state IN ('asked', 'acted', 'answered')"


def participant_tables(base: type[SQLModel]) -> None:
    """Declare what `create_participant_tables_v1` creates in the metadata of a service."""
    metadata = base.metadata
    _tasks(metadata)
    Table(
        "privacy_tombstones",
        metadata,
        Column("profile_id", Text, primary_key=True),
        Column("request_id", Text, nullable=False),
        moment(name="left_at", server_default=text("now()")),
    )
    Table(
        "privacy_freezes",
        metadata,
        Column("profile_id", Text, primary_key=True),
        Column("request_id", Text, primary_key=True),
        moment(name="frozen_at", server_default=text("now()")),
    )
    Table(
        "privacy_held",
        metadata,
        Column("hold_id", Text, primary_key=True),
        Column("profile_id", Text, primary_key=True),
        Column("store", Text, primary_key=True),
        Column("record_ids", ARRAY(Text), nullable=False),
        Column("ground", Text, nullable=False),
        moment(name="until", nullable=True),
        Index(None, "profile_id"),
    )
    Table(
        "privacy_sweeps",
        metadata,
        Column("store", Text, primary_key=True),
        moment(name="swept_at", primary_key=True, server_default=text("clock_timestamp()")),
        moment(name="before"),
        Column("deleted", BigInteger, nullable=False),
    )
    Table(
        "privacy_restores",
        metadata,
        moment(name="restored_at", primary_key=True, server_default=text("clock_timestamp()")),
        moment(name="replayed_at", nullable=True),
    )


def _tasks(metadata: MetaData) -> None:
    Table(
        "privacy_tasks",
        metadata,
        Column("task_id", Text, primary_key=True),
        Column("request_id", Text, nullable=False),
        Column("kind", SmallInteger, nullable=False),
        Column("profile_ids", ARRAY(Text), nullable=False),
        Column("epoch", Text, nullable=False),
        Column("position", BigInteger, nullable=False),
        Column("hold", JSONB),
        Column("state", Text, nullable=False, server_default=text("'asked'")),
        Column("answer", JSONB),
        moment(name="asked_at", server_default=text("now()")),
        moment(name="due_at", nullable=True),
        moment(name="answered_at", nullable=True),
        CheckConstraint(_STATES, "state"),
        CheckConstraint("(state = 'asked') = (answer IS NULL)", "answer"),
        CheckConstraint("(state = 'answered') = (answered_at IS NOT NULL)", "answered"),
        Index("ix_privacy_tasks_waiting", "asked_at", "task_id", postgresql_where=text("state <> 'answered'")),
    )
