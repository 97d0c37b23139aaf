"""The trace of what was heard, so that what is told because of it can be followed back."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0003"
down_revision = "0002"

COLUMNS = """
ALTER TABLE facts ADD COLUMN traceparent text;
ALTER TABLE scores ADD COLUMN traceparent text;
GRANT UPDATE (traceparent) ON facts TO {role};
"""


def upgrade() -> None:
    op.execute(COLUMNS.format(role=sql.Identifier(runtime_role(op)).as_string()))
