"""Experiments: how arms are given out, who was given which, and what that earned."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0006"
down_revision = "0005"

TABLES = """
CREATE TABLE experiment_allocations (
    experiment_id text NOT NULL,
    version integer NOT NULL,
    since_us bigint NOT NULL,
    position bigint NOT NULL,
    shares jsonb NOT NULL,
    CONSTRAINT pk_experiment_allocations PRIMARY KEY (experiment_id, version, since_us)
);
CREATE INDEX ix_experiment_allocations_position ON experiment_allocations (position);

CREATE TABLE experiment_units (
    experiment_id text NOT NULL,
    version integer NOT NULL,
    unit_id text NOT NULL,
    profile_id text NOT NULL,
    arm text NOT NULL,
    propensity double precision NOT NULL,
    first_at timestamptz NOT NULL,
    quotes bigint NOT NULL,
    redeemed bigint NOT NULL DEFAULT 0,
    earned bigint NOT NULL DEFAULT 0,
    currency text NOT NULL,
    CONSTRAINT pk_experiment_units PRIMARY KEY (experiment_id, version, unit_id)
);
CREATE INDEX ix_experiment_units_profile_id ON experiment_units (profile_id) WHERE profile_id <> '';
"""

# An erasure takes the name of a unit away, and leaves what it earned.
GRANTS = """
GRANT SELECT, INSERT ON experiment_allocations TO {role};
GRANT SELECT, INSERT, UPDATE (unit_id, profile_id, quotes, redeemed, earned) ON experiment_units TO {role};
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(runtime_role(op)).as_string()))
