"""For which purposes the gate could not say, when a fact was recorded, whether it may be kept."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0007"
down_revision = "0006"

TABLE = """
CREATE TABLE undecided_purposes (
    fact_id text NOT NULL,
    purpose_id text NOT NULL,
    CONSTRAINT pk_undecided_purposes PRIMARY KEY (fact_id, purpose_id),
    CONSTRAINT fk_undecided_purposes_fact_id_facts FOREIGN KEY (fact_id) REFERENCES facts (fact_id) ON DELETE CASCADE
);
"""

GRANTS = """
GRANT SELECT, INSERT, DELETE ON undecided_purposes TO {role};
GRANT UPDATE (permits) ON facts TO {role};
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(GRANTS.format(role=sql.Identifier(runtime_role(op)).as_string()))
