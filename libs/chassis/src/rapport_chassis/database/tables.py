"""The tables every service has, and the base class that keeps one service's tables apart from another's.

`schema_v1.py` holds the DDL that creates them; a test compares the two.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, REAL
from sqlalchemy.orm import registry
from sqlmodel import SQLModel

from rapport_chassis.database.columns import moment

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""How constraints and indexes are called, in every service."""

OPERATION_STATES: Final = ("running", "cancelling", "succeeded", "failed", "cancelled")
AUTHORED_STATES: Final = ("draft", "active", "retired")
AUDIT_OUTCOMES: Final = ("allowed", "refused", "failed")


def service_base(service: str) -> type[SQLModel]:
    """Return a fresh base class for the tables of one service.

    Tables of two services may have the same name and load in one process: each base has its own registry and metadata,
    where SQLModel alone has one for all.

    Args:
        service: Name of the service, which names the class in messages.
    """
    own = registry(metadata=MetaData(naming_convention=NAMING))
    namespace = {"__module__": __name__, "__doc__": f"Base of the tables of {service}."}
    metaclass: Any = type(SQLModel)
    base: type[SQLModel] = metaclass(f"{service.title()}Base", (SQLModel,), namespace, registry=own)
    return base


def chassis_tables(base: type[SQLModel]) -> None:
    """Declare on `base` the tables that the chassis works with."""
    metadata = base.metadata
    _event_tables(metadata)
    _request_tables(metadata)
    _audit_tables(metadata)
    _operation_table(metadata)
    _authored_table(metadata)


def _event_tables(metadata: MetaData) -> None:
    # The relay takes the oldest rows, publishes them, and in one statement moves their index to `published`.
    Table(
        "outbox",
        metadata,
        Column("seq", BigInteger, Identity(always=True), primary_key=True),
        Column("event_id", Text, nullable=False, unique=True),
        Column("subject", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("headers", JSONB, nullable=False),
        Column("profile_ids", ARRAY(Text), nullable=False),
        Column("urgent", Boolean, nullable=False, server_default=text("false")),
        moment(name="created_at", server_default=text("now()")),
        Index("ix_outbox_urgent", "seq", postgresql_where=text("urgent")),
    )
    # One event may be in the stream twice (a relay killed after the broker's answer); erasure must find both.
    Table(
        "published",
        metadata,
        Column("event_id", Text),
        Column("stream", Text),
        Column("sequence", BigInteger),
        Column("profile_ids", ARRAY(Text), nullable=False),
        moment(name="published_at", server_default=text("now()")),
        PrimaryKeyConstraint("event_id", "stream", "sequence"),
        Index("ix_published_profile_ids", "profile_ids", postgresql_using="gin"),
        Index(None, "published_at"),
    )
    Table(
        "relay_progress",
        metadata,
        Column("stream", Text, primary_key=True),
        Column("sequence", BigInteger, nullable=False),
    )
    Table(
        "inbox",
        metadata,
        Column("consumer", Text),
        Column("event_id", Text),
        moment(name="received_at", server_default=text("now()")),
        PrimaryKeyConstraint("consumer", "event_id"),
        Index(None, "received_at"),
    )
    Table(
        "consumer_state",
        metadata,
        Column("consumer", Text, primary_key=True),
        Column("paused", Boolean, nullable=False, server_default=text("false")),
        Column("reason", Text, nullable=False, server_default=text("''")),
        moment(name="since", server_default=text("now()")),
        Column("failures", Integer, nullable=False, server_default=text("0")),
        CheckConstraint("failures >= 0", "failures"),
    )


def _request_tables(metadata: MetaData) -> None:
    Table(
        "requests",
        metadata,
        Column("caller", Text),
        Column("method", Text),
        Column("request_id", Uuid),
        Column("body_hash", LargeBinary, nullable=False),
        Column("answer", LargeBinary, nullable=False),
        moment(name="created_at", server_default=text("now()")),
        PrimaryKeyConstraint("caller", "method", "request_id"),
        Index(None, "created_at"),
    )


def _audit_tables(metadata: MetaData) -> None:
    Table(
        "audit",
        metadata,
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        moment(name="recorded_at"),
        Column("actor", Text, nullable=False),
        Column("caller", Text, nullable=False),
        Column("action", Text, nullable=False),
        Column("target", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("trace_id", Text, nullable=False),
        Column("previous_hash", LargeBinary, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        _one_of("outcome", AUDIT_OUTCOMES),
    )
    Table(
        "audit_head",
        metadata,
        Column("single", Boolean, primary_key=True, server_default=text("true")),
        Column("position", BigInteger, nullable=False),
        Column("previous_hash", LargeBinary, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        CheckConstraint("single", "single"),
    )


def _operation_table(metadata: MetaData) -> None:
    Table(
        "operations",
        metadata,
        Column("id", Text, primary_key=True),
        Column("method", Text, nullable=False),
        Column("caller", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("request", LargeBinary, nullable=False),
        Column("metadata", LargeBinary),
        Column("result", LargeBinary),
        Column("error", LargeBinary),
        Column("progress", REAL, nullable=False, server_default=text("0")),
        Column("attempts", Integer, nullable=False, server_default=text("0")),
        Column("leased_by", Text),
        moment(name="lease_until", nullable=True),
        moment(name="created_at"),
        moment(name="updated_at"),
        moment(name="expires_at"),
        _one_of("state", OPERATION_STATES),
        CheckConstraint("progress BETWEEN 0 AND 1", "progress"),
        CheckConstraint("(state = 'succeeded') = (result IS NOT NULL)", "result"),
        CheckConstraint("(state IN ('failed', 'cancelled')) = (error IS NOT NULL)", "error"),
        Index("ix_operations_unfinished", "created_at", postgresql_where=text("state IN ('running', 'cancelling')")),
        Index(None, "expires_at"),
    )


def _authored_table(metadata: MetaData) -> None:
    Table(
        "authored_versions",
        metadata,
        Column("kind", Text),
        Column("id", Text),
        Column("version", Integer, autoincrement=False),
        Column("state", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
        moment(name="created_at"),
        Column("created_by", Text, nullable=False),
        moment(name="active_from", nullable=True),
        Column("decided_by", Text),
        moment(name="decided_at", nullable=True),
        Column("reason", Text),
        moment(name="retired_from", nullable=True),
        Column("retired_by", Text),
        moment(name="retired_at", nullable=True),
        Column("retire_reason", Text),
        PrimaryKeyConstraint("kind", "id", "version"),
        _one_of("state", AUTHORED_STATES),
        CheckConstraint("version > 0", "version"),
        CheckConstraint(
            "(state = 'draft' AND num_nonnulls(active_from, decided_by, decided_at, reason) = 0)"
            " OR (state <> 'draft' AND num_nulls(active_from, decided_by, decided_at, reason) = 0)",
            "decision",
        ),
        CheckConstraint(
            "(state = 'retired' AND num_nulls(retired_from, retired_by, retired_at, retire_reason) = 0)"
            " OR (state <> 'retired' AND num_nonnulls(retired_from, retired_by, retired_at, retire_reason) = 0)",
            "retirement",
        ),
        Index("ix_authored_versions_active_from", "kind", "id", "active_from"),
    )


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", column)
