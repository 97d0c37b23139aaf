"""Privacy requests: tasks, tombstones, holds, and what may be deleted."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role
from rapport_privacy.participant.schema_v1 import create_participant_tables_v1

revision = "0003"
down_revision = "0002"

GRANTS = "GRANT DELETE ON watches, feedback, unsubscribes, engagements, inbox_messages, endpoints TO {role}"


def upgrade() -> None:
    role = runtime_role(op)
    create_participant_tables_v1(op, role)
    op.execute(GRANTS.format(role=sql.Identifier(role).as_string()))
