"""Privacy requests: tasks, tombstones, holds, and what may be blanked or deleted."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role
from rapport_privacy.participant.schema_v1 import create_participant_tables_v1

revision = "0005"
down_revision = "0004"

# What an erasure blanks names nobody afterwards: the rest of such a row is kept as the law of taxes demands.
GRANTS = """
GRANT UPDATE (profile_id, permission, cause_event_id) ON offers TO {role};
GRANT UPDATE (body) ON redemptions TO {role};
GRANT DELETE ON risks TO {role};
"""


def upgrade() -> None:
    role = runtime_role(op)
    create_participant_tables_v1(op, role)
    op.execute(GRANTS.format(role=sql.Identifier(role).as_string()))
