"""A service that keeps notes about people."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role
from rapport_chassis.database.schema_v1 import create_chassis_tables_v1
from rapport_privacy.participant.schema_v1 import create_participant_tables_v1

revision = "0001"
down_revision = None


def upgrade() -> None:
    role = runtime_role(op)
    create_chassis_tables_v1(op, role)
    create_participant_tables_v1(op, role)
    op.execute(
        "CREATE TABLE notes (note_id uuid DEFAULT gen_random_uuid(), profile_id text, frozen boolean DEFAULT false,"
        " needed_until timestamptz, written_at timestamptz DEFAULT now())"
    )
    op.execute(f"GRANT ALL ON notes TO {sql.Identifier(role).as_string()}")
