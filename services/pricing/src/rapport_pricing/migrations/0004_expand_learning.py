"""What is learned of each listing while it sells: exposures, counts, decisions; outcomes that are not folded in yet."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0004"
down_revision = "0003"

TABLES = """
ALTER TABLE published_prices ADD COLUMN settled bigint;

CREATE TABLE waiting_outcomes (
    outcome_id text NOT NULL,
    CONSTRAINT pk_waiting_outcomes PRIMARY KEY (outcome_id)
);

CREATE TABLE exposures (
    product_id text NOT NULL,
    variant_id text NOT NULL,
    market text NOT NULL,
    price_version bigint NOT NULL,
    exposure_id text NOT NULL,
    news smallint NOT NULL,
    reported boolean NOT NULL,
    heard_us bigint NOT NULL,
    CONSTRAINT pk_exposures PRIMARY KEY (product_id, variant_id, market, price_version, exposure_id)
);
CREATE INDEX ix_exposures_pending ON exposures (product_id, variant_id, market, heard_us)
    WHERE news = 1 AND reported;
CREATE INDEX ix_exposures_heard_us ON exposures (heard_us);

CREATE TABLE version_counts (
    product_id text NOT NULL,
    variant_id text NOT NULL,
    market text NOT NULL,
    price_version bigint NOT NULL,
    shown bigint NOT NULL,
    sold bigint NOT NULL,
    pending bigint NOT NULL,
    CONSTRAINT pk_version_counts PRIMARY KEY (product_id, variant_id, market, price_version)
);

CREATE TABLE learners (
    product_id text NOT NULL,
    variant_id text NOT NULL,
    market text NOT NULL,
    mode text NOT NULL DEFAULT 'learn',
    pinned bigint,
    incident boolean NOT NULL DEFAULT false,
    stirred boolean NOT NULL DEFAULT true,
    wake_us bigint,
    anchor bigint,
    prior bytea,
    level_mean double precision NOT NULL DEFAULT 0,
    level_deviation double precision NOT NULL DEFAULT 0,
    start_cell integer NOT NULL DEFAULT 0,
    since_turn bigint NOT NULL DEFAULT 1,
    turn bigint NOT NULL DEFAULT 0,
    target bigint,
    settled bigint,
    run_out boolean NOT NULL DEFAULT false,
    binding text NOT NULL DEFAULT '',
    stuck text NOT NULL DEFAULT '',
    weights bytea,
    anchored double precision,
    decided_us bigint NOT NULL DEFAULT 0,
    CONSTRAINT pk_learners PRIMARY KEY (product_id, variant_id, market),
    CONSTRAINT ck_learners_mode CHECK (
        mode IN ('learn', 'paused', 'pinned') AND (mode = 'pinned') = (pinned IS NOT NULL)
    )
);
CREATE INDEX ix_learners_stirred ON learners (decided_us) WHERE stirred;
CREATE INDEX ix_learners_wake_us ON learners (wake_us);

CREATE TABLE learned_turns (
    product_id text NOT NULL,
    variant_id text NOT NULL,
    market text NOT NULL,
    turn bigint NOT NULL,
    price_version bigint NOT NULL,
    cell integer NOT NULL,
    price bigint NOT NULL,
    expected double precision NOT NULL,
    variance double precision NOT NULL,
    explores boolean NOT NULL,
    base_shown bigint NOT NULL,
    base_sold bigint NOT NULL,
    base_pending bigint NOT NULL,
    at_us bigint NOT NULL,
    CONSTRAINT pk_learned_turns PRIMARY KEY (product_id, variant_id, market, turn)
);
"""

# Decisions are only ever added to. Outcomes and exposures grow old.
GRANTS = """
GRANT DELETE ON outcomes, reservations TO {role};
GRANT SELECT, INSERT, DELETE ON waiting_outcomes TO {role};
GRANT SELECT, INSERT, UPDATE (news, reported, heard_us), DELETE ON exposures TO {role};
GRANT SELECT, INSERT, UPDATE ON version_counts, learners TO {role};
GRANT SELECT, INSERT ON learned_turns TO {role};
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(runtime_role(op)).as_string()))
