"""Whose redemption it is when one person turns out to be two."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0009"
down_revision = "0008"

TABLES = """
ALTER TABLE redemptions ADD COLUMN named_id text NOT NULL DEFAULT '';
ALTER TABLE redemptions ADD COLUMN owner_version bigint NOT NULL DEFAULT 1;
ALTER TABLE redemptions ADD COLUMN told bytea;
"""

INDEX = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_redemptions_named_id ON redemptions (named_id) WHERE named_id <> ''
"""

GRANTS = "GRANT UPDATE (named_id, owner_version, told) ON redemptions TO {role}"


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(runtime_role(op)).as_string()))
    with op.get_context().autocommit_block():
        op.execute(INDEX)
