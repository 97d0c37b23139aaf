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
        "CREATE TABLE notes (note_id text PRIMARY KEY, profile_id text NOT NULL, words text NOT NULL,"
        " place bigint GENERATED ALWAYS AS IDENTITY)"
    )
    op.execute("CREATE INDEX ix_notes_profile_id ON notes (profile_id)")
    op.execute("CREATE INDEX ix_notes_words ON notes (words)")
    op.execute("CREATE TABLE sent (recipient text NOT NULL, template text NOT NULL, code bigint NOT NULL)")
    op.execute(
        "CREATE TABLE reviews (review_id text PRIMARY KEY, decision_id text NOT NULL, profile_id text NOT NULL,"
        " ground smallint NOT NULL, state text NOT NULL, requested_at timestamptz NOT NULL, decided_at timestamptz,"
        " decided_by text NOT NULL, reason text NOT NULL)"
    )
    op.execute(f"GRANT ALL ON notes, sent, reviews TO {sql.Identifier(role).as_string()}")
