"""The participant's tables as a migration of a service creates them. Frozen: a change is a new migration."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from alembic.operations import Operations
from psycopg import sql

_TABLES: Final = (
    """
    CREATE TABLE privacy_tasks (
        task_id text NOT NULL,
        request_id text NOT NULL,
        kind smallint NOT NULL,
        profile_ids text[] NOT NULL,
        epoch text NOT NULL,
        position bigint NOT NULL,
        hold jsonb,
        state text DEFAULT 'asked' NOT NULL,
        answer jsonb,
        asked_at timestamptz DEFAULT now() NOT NULL,
        due_at timestamptz,
        answered_at timestamptz,
        CONSTRAINT pk_privacy_tasks PRIMARY KEY (task_id),
        CONSTRAINT ck_privacy_tasks_state CHECK (state IN ('asked', 'acted', 'answered')),
        CONSTRAINT ck_privacy_tasks_answer CHECK ((state = 'asked') = (answer IS NULL)),
        CONSTRAINT ck_privacy_tasks_answered CHECK ((state = 'answered') = (answered_at IS NOT NULL))
    )
    """,
    "CREATE INDEX ix_privacy_tasks_waiting ON privacy_tasks (asked_at, task_id) WHERE state <> 'answered'",
    """
    CREATE TABLE privacy_tombstones (
        profile_id text NOT NULL,
        request_id text NOT NULL,
        left_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT pk_privacy_tombstones PRIMARY KEY (profile_id)
    )
    """,
    """
    CREATE TABLE privacy_freezes (
        profile_id text NOT NULL,
        request_id text NOT NULL,
        frozen_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT pk_privacy_freezes PRIMARY KEY (profile_id, request_id)
    )
    """,
    """
    CREATE TABLE privacy_held (
        hold_id text NOT NULL,
        profile_id text NOT NULL,
        store text NOT NULL,
        record_ids text[] NOT NULL,
        ground text NOT NULL,
        until timestamptz,
        CONSTRAINT pk_privacy_held PRIMARY KEY (hold_id, profile_id, store)
    )
    """,
    "CREATE INDEX ix_privacy_held_profile_id ON privacy_held (profile_id)",
    """
    CREATE TABLE privacy_sweeps (
        store text NOT NULL,
        swept_at timestamptz DEFAULT clock_timestamp() NOT NULL,
        before timestamptz NOT NULL,
        deleted bigint NOT NULL,
        CONSTRAINT pk_privacy_sweeps PRIMARY KEY (store, swept_at)
    )
    """,
    """
    CREATE TABLE privacy_restores (
        restored_at timestamptz DEFAULT clock_timestamp() NOT NULL,
        replayed_at timestamptz,
        CONSTRAINT pk_privacy_restores PRIMARY KEY (restored_at)
    )
    """,
)

_GRANTS: Final = (
    ("privacy_tasks", "SELECT, INSERT, UPDATE (state, answer, answered_at)"),
    ("privacy_tombstones", "SELECT, INSERT"),
    ("privacy_freezes, privacy_held", "SELECT, INSERT, DELETE"),
    ("privacy_sweeps", "SELECT, INSERT"),
    ("privacy_restores", "SELECT, UPDATE (replayed_at)"),
)


def create_participant_tables_v1(op: Operations | ModuleType, runtime_role: str) -> None:
    """Create the participant's tables and let the run-time role work with them.

    Args:
        op: Alembic's operations: pass `alembic.op` itself.
        runtime_role: The role of the service.
    """
    for statement in _TABLES:
        op.execute(statement)
    role = sql.Identifier(runtime_role).as_string()
    for tables, privileges in _GRANTS:
        op.execute(f"GRANT {privileges} ON {tables} TO {role}")
