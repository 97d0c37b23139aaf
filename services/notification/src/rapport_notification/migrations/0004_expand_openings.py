"""An index by which messages that wait for an opening are found."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_notifications_openings ON notifications (due_us)"
            " WHERE state = 2 AND hold = 1"
        )
