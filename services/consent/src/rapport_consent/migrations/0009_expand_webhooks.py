"""When a participant that is called over HTTP is called next."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE privacy_asked_tasks"
        " ADD COLUMN calls integer DEFAULT 0 NOT NULL, ADD COLUMN call_at timestamp with time zone"
    )
    op.execute(
        "CREATE INDEX ix_privacy_asked_tasks_call_at ON privacy_asked_tasks (call_at)"
        " WHERE participant_kind = 'WEBHOOK' AND answer IS NULL"
    )
