"""Facts that a legal hold keeps of people who may not be profiled any more: out of the log, so out of use."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0004"
down_revision = "0003"

TABLE = """
CREATE TABLE held_facts (
    fact_id text NOT NULL,
    profile_id text NOT NULL,
    held_with text[] NOT NULL,
    kind smallint NOT NULL,
    occurred_at bigint NOT NULL,
    arrived_at bigint NOT NULL,
    value bigint NOT NULL,
    quantity bigint NOT NULL,
    channel smallint NOT NULL,
    CONSTRAINT pk_held_facts PRIMARY KEY (profile_id, fact_id)
);
"""

GRANT = "GRANT SELECT, INSERT, UPDATE (held_with), DELETE ON held_facts TO {role}"


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(GRANT.format(role=sql.Identifier(runtime_role(op)).as_string()))
