"""Which keys were destroyed, for which privacy request: an entry for each time, signed."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE destructions (
    request_id text NOT NULL,
    destroyed_at timestamptz NOT NULL,
    keys integer NOT NULL,
    digest bytea NOT NULL,
    kid text NOT NULL,
    signature bytea NOT NULL,
    CONSTRAINT pk_destructions PRIMARY KEY (request_id, digest)
);
"""

GRANTS = "GRANT SELECT, INSERT ON destructions TO {role}"


def upgrade() -> None:
    """Create it: entries are only ever added."""
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(runtime_role(op)).as_string()))
