"""Decisions, reservations, redemptions, outcomes and reviews."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE decisions (
    decision_id text NOT NULL,
    quote_id text NOT NULL,
    profile_id text NOT NULL,
    issued_at timestamptz NOT NULL,
    epoch text NOT NULL,
    position bigint NOT NULL,
    body bytea,
    inputs text,
    CONSTRAINT pk_decisions PRIMARY KEY (decision_id),
    CONSTRAINT ck_decisions_erased CHECK ((body IS NULL) = (inputs IS NULL))
);
CREATE INDEX ix_decisions_profile_id ON decisions (profile_id) WHERE profile_id <> '';
CREATE INDEX ix_decisions_issued_at ON decisions (issued_at);

CREATE TABLE tallies (
    promotion_id text NOT NULL,
    reserved_uses bigint NOT NULL DEFAULT 0,
    reserved_amount bigint NOT NULL DEFAULT 0,
    committed_uses bigint NOT NULL DEFAULT 0,
    committed_amount bigint NOT NULL DEFAULT 0,
    CONSTRAINT pk_tallies PRIMARY KEY (promotion_id),
    CONSTRAINT ck_tallies_counts CHECK (least(reserved_uses, reserved_amount, committed_uses, committed_amount) >= 0)
);

CREATE TABLE reservations (
    promotion_id text NOT NULL,
    quote_id text NOT NULL,
    profile_id text NOT NULL,
    amount bigint NOT NULL,
    until_us bigint NOT NULL,
    state text NOT NULL,
    CONSTRAINT pk_reservations PRIMARY KEY (promotion_id, quote_id),
    CONSTRAINT ck_reservations_state CHECK (state IN ('held', 'committed', 'released'))
);
CREATE INDEX ix_reservations_held ON reservations (until_us) WHERE state = 'held';
CREATE INDEX ix_reservations_profile_id ON reservations (profile_id, promotion_id) WHERE profile_id <> '';

CREATE TABLE redemptions (
    quote_id text NOT NULL,
    order_id text NOT NULL,
    profile_id text NOT NULL,
    decision_id text NOT NULL,
    fact_id text NOT NULL,
    body bytea NOT NULL,
    redeemed_at timestamptz NOT NULL,
    CONSTRAINT pk_redemptions PRIMARY KEY (quote_id)
);
CREATE INDEX ix_redemptions_profile_id ON redemptions (profile_id) WHERE profile_id <> '';

CREATE TABLE outcomes (
    outcome_id text NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    exposure_id text NOT NULL,
    product_id text NOT NULL,
    variant_id text NOT NULL,
    market text NOT NULL,
    price_version bigint NOT NULL,
    kind smallint NOT NULL,
    quantity bigint NOT NULL,
    quote_id text NOT NULL,
    occurred_us bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT pk_outcomes PRIMARY KEY (outcome_id)
);
CREATE UNIQUE INDEX uq_outcomes_seq ON outcomes (seq);
CREATE INDEX ix_outcomes_recorded_at ON outcomes (recorded_at);

CREATE TABLE reviews (
    review_id text NOT NULL,
    decision_id text NOT NULL,
    profile_id text NOT NULL,
    ground smallint NOT NULL,
    state text NOT NULL,
    requested_at timestamptz NOT NULL,
    decided_at timestamptz,
    decided_by text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    CONSTRAINT pk_reviews PRIMARY KEY (review_id),
    CONSTRAINT ck_reviews_state CHECK (state IN ('open', 'confirmed', 'set_aside')),
    CONSTRAINT ck_reviews_decided CHECK ((state = 'open') = (decided_at IS NULL))
);
CREATE INDEX ix_reviews_decision_id ON reviews (decision_id);
CREATE INDEX ix_reviews_profile_id ON reviews (profile_id);
CREATE INDEX ix_reviews_requested_at ON reviews (requested_at, review_id);
"""

# A decision is written once; an erasure blanks it, age removes it. A redemption and an outcome stay as they are.
GRANTS = """
GRANT SELECT, INSERT, UPDATE (profile_id, body, inputs), DELETE ON decisions TO {role};
GRANT SELECT, INSERT, UPDATE ON tallies TO {role};
GRANT SELECT, INSERT, UPDATE (state, amount, profile_id) ON reservations TO {role};
GRANT SELECT, INSERT, UPDATE (profile_id) ON redemptions TO {role};
GRANT SELECT, INSERT ON outcomes TO {role};
GRANT SELECT, INSERT, UPDATE (profile_id, state, decided_at, decided_by, reason) ON reviews TO {role};
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(runtime_role(op)).as_string()))
