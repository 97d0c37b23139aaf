"""The chassis' tables as a service's first migration creates them. Frozen: a change is a new migration.

The run-time role gets no more than each table needs: nothing is ever truncated, the audit trail takes inserts only, an
authored version keeps its body for ever.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from alembic.operations import Operations
from psycopg import sql

_TABLES: Final = (
    """
    CREATE TABLE outbox (
        seq bigint GENERATED ALWAYS AS IDENTITY,
        event_id text NOT NULL,
        subject text NOT NULL,
        type text NOT NULL,
        payload bytea NOT NULL,
        headers jsonb NOT NULL,
        profile_ids text[] NOT NULL,
        urgent boolean DEFAULT false NOT NULL,
        created_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT pk_outbox PRIMARY KEY (seq),
        CONSTRAINT uq_outbox_event_id UNIQUE (event_id)
    )
    """,
    "CREATE INDEX ix_outbox_urgent ON outbox (seq) WHERE urgent",
    """
    CREATE TABLE published (
        event_id text NOT NULL,
        stream text NOT NULL,
        sequence bigint NOT NULL,
        profile_ids text[] NOT NULL,
        published_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT pk_published PRIMARY KEY (event_id, stream, sequence)
    )
    """,
    "CREATE INDEX ix_published_profile_ids ON published USING gin (profile_ids)",
    "CREATE INDEX ix_published_published_at ON published (published_at)",
    """
    CREATE TABLE relay_progress (
        stream text NOT NULL,
        sequence bigint NOT NULL,
        CONSTRAINT pk_relay_progress PRIMARY KEY (stream)
    )
    """,
    """
    CREATE TABLE inbox (
        consumer text NOT NULL,
        event_id text NOT NULL,
        received_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT pk_inbox PRIMARY KEY (consumer, event_id)
    )
    """,
    "CREATE INDEX ix_inbox_received_at ON inbox (received_at)",
    """
    CREATE TABLE consumer_state (
        consumer text NOT NULL,
        paused boolean DEFAULT false NOT NULL,
        reason text DEFAULT '' NOT NULL,
        since timestamptz DEFAULT now() NOT NULL,
        failures integer DEFAULT 0 NOT NULL,
        CONSTRAINT pk_consumer_state PRIMARY KEY (consumer),
        CONSTRAINT ck_consumer_state_failures CHECK (failures >= 0)
    )
    """,
    """
    CREATE TABLE requests (
        caller text NOT NULL,
        method text NOT NULL,
        request_id uuid NOT NULL,
        body_hash bytea NOT NULL,
        answer bytea NOT NULL,
        created_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT pk_requests PRIMARY KEY (caller, method, request_id)
    )
    """,
    "CREATE INDEX ix_requests_created_at ON requests (created_at)",
    """
    CREATE TABLE audit (
        position bigint NOT NULL,
        recorded_at timestamptz NOT NULL,
        actor text NOT NULL,
        caller text NOT NULL,
        action text NOT NULL,
        target text NOT NULL,
        reason text NOT NULL,
        outcome text NOT NULL,
        trace_id text NOT NULL,
        previous_hash bytea NOT NULL,
        hash bytea NOT NULL,
        CONSTRAINT pk_audit PRIMARY KEY (position),
        CONSTRAINT ck_audit_outcome CHECK (outcome IN ('allowed', 'refused', 'failed'))
    )
    """,
    r"""
    CREATE TABLE audit_head (
        single boolean DEFAULT true NOT NULL,
        position bigint NOT NULL,
        previous_hash bytea NOT NULL,
        hash bytea NOT NULL,
        CONSTRAINT pk_audit_head PRIMARY KEY (single),
        CONSTRAINT ck_audit_head_single CHECK (single)
    )
    """,
    r"INSERT INTO audit_head (position, previous_hash, hash) VALUES (0, '\x', decode(repeat('00', 32), 'hex'))",
    """
    CREATE TABLE operations (
        id text NOT NULL,
        method text NOT NULL,
        caller text NOT NULL,
        state text NOT NULL,
        request bytea NOT NULL,
        metadata bytea,
        result bytea,
        error bytea,
        progress real DEFAULT 0 NOT NULL,
        attempts integer DEFAULT 0 NOT NULL,
        leased_by text,
        lease_until timestamptz,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        CONSTRAINT pk_operations PRIMARY KEY (id),
        CONSTRAINT ck_operations_state
            CHECK (state IN ('running', 'cancelling', 'succeeded', 'failed', 'cancelled')),
        CONSTRAINT ck_operations_progress CHECK (progress BETWEEN 0 AND 1),
        CONSTRAINT ck_operations_result CHECK ((state = 'succeeded') = (result IS NOT NULL)),
        CONSTRAINT ck_operations_error CHECK ((state IN ('failed', 'cancelled')) = (error IS NOT NULL))
    )
    """,
    """
    CREATE INDEX ix_operations_unfinished ON operations (created_at)
        WHERE state IN ('running', 'cancelling')
    """,
    "CREATE INDEX ix_operations_expires_at ON operations (expires_at)",
    """
    CREATE TABLE authored_versions (
        kind text NOT NULL,
        id text NOT NULL,
        version integer NOT NULL,
        state text NOT NULL,
        body bytea NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        active_from timestamptz,
        decided_by text,
        decided_at timestamptz,
        reason text,
        retired_from timestamptz,
        retired_by text,
        retired_at timestamptz,
        retire_reason text,
        CONSTRAINT pk_authored_versions PRIMARY KEY (kind, id, version),
        CONSTRAINT ck_authored_versions_state CHECK (state IN ('draft', 'active', 'retired')),
        CONSTRAINT ck_authored_versions_version CHECK (version > 0),
        CONSTRAINT ck_authored_versions_decision CHECK (
            (state = 'draft' AND num_nonnulls(active_from, decided_by, decided_at, reason) = 0)
            OR (state <> 'draft' AND num_nulls(active_from, decided_by, decided_at, reason) = 0)
        ),
        CONSTRAINT ck_authored_versions_retirement CHECK (
            (state = 'retired' AND num_nulls(retired_from, retired_by, retired_at, retire_reason) = 0)
            OR (state <> 'retired' AND num_nonnulls(retired_from, retired_by, retired_at, retire_reason) = 0)
        )
    )
    """,
    "CREATE INDEX ix_authored_versions_active_from ON authored_versions (kind, id, active_from)",
)

_GRANTS: Final = (
    ("outbox, published, relay_progress, inbox, consumer_state", "SELECT, INSERT, UPDATE, DELETE"),
    ("requests", "SELECT, INSERT, DELETE"),
    ("audit", "SELECT, INSERT"),
    ("audit_head", "SELECT, UPDATE"),
    ("operations", "SELECT, INSERT, UPDATE, DELETE"),
    (
        "authored_versions",
        "SELECT, INSERT, UPDATE (state, active_from, decided_by, decided_at, reason,"
        " retired_from, retired_by, retired_at, retire_reason)",
    ),
)


def create_chassis_tables_v1(op: Operations | ModuleType, runtime_role: str) -> None:
    """Create the chassis' tables and let the run-time role work with them.

    Args:
        op: Alembic's operations: pass `alembic.op` itself.
        runtime_role: The role of the service, from `rapport_chassis.database.migrate.runtime_role(op)`.
    """
    for statement in _TABLES:
        op.execute(statement)
    role = sql.Identifier(runtime_role).as_string()
    for tables, privileges in _GRANTS:
        op.execute(f"GRANT {privileges} ON {tables} TO {role}")
