"""Which rounds of anniversaries were told of. No date: the year of a round names nobody's birthday."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0004"
down_revision = "0003"

TABLES = """
CREATE TABLE anniversaries (
    record_no bigint NOT NULL,
    kind smallint NOT NULL,
    round smallint NOT NULL,
    CONSTRAINT pk_anniversaries PRIMARY KEY (record_no, kind)
);

CREATE TABLE anniversary_progress (
    singleton boolean NOT NULL DEFAULT true,
    looked_until timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_anniversary_progress PRIMARY KEY (singleton),
    CONSTRAINT ck_anniversary_progress_singleton CHECK (singleton)
);
INSERT INTO anniversary_progress DEFAULT VALUES;
"""

GRANTS = """
GRANT SELECT, INSERT, UPDATE (round), DELETE ON anniversaries TO {role};
GRANT SELECT, UPDATE ON anniversary_progress TO {role};
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(runtime_role(op)).as_string()))
