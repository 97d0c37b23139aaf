"""Privacy requests: tasks, tombstones, holds; and how much each removal took away."""

from alembic import op
from rapport_chassis.database.migrate import runtime_role
from rapport_privacy.participant.schema_v1 import create_participant_tables_v1

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_participant_tables_v1(op, runtime_role(op))
    op.execute("ALTER TABLE removals ADD COLUMN counts jsonb NOT NULL DEFAULT '{}'")
