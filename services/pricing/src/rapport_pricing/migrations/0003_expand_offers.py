"""Offers to customers, and the risks that some of them answer."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0003"
down_revision = "0002"

TABLES = """
CREATE TABLE offers (
    offer_id text NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    profile_id text NOT NULL,
    state text NOT NULL,
    treatment text NOT NULL,
    promotion_id text NOT NULL,
    promotion_version integer NOT NULL,
    decision_id text NOT NULL,
    cause_event_id text NOT NULL,
    brand_id text NOT NULL,
    market text NOT NULL,
    since_us bigint NOT NULL,
    until_us bigint NOT NULL,
    created_us bigint NOT NULL,
    permission bytea NOT NULL,
    CONSTRAINT pk_offers PRIMARY KEY (offer_id),
    CONSTRAINT ck_offers_state CHECK (state IN ('open', 'used_up', 'lapsed', 'withdrawn', 'not_permitted')),
    CONSTRAINT ck_offers_treatment CHECK (treatment IN ('treated', 'held_out'))
);
CREATE INDEX ix_offers_position ON offers (position);
CREATE INDEX ix_offers_profile_id ON offers (profile_id, created_us);
CREATE INDEX ix_offers_open ON offers (until_us) WHERE state = 'open';

CREATE TABLE risks (
    profile_id text NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT pk_risks PRIMARY KEY (profile_id)
);
"""

# Of an offer nothing changes but where it stands.
GRANTS = """
GRANT SELECT, INSERT, UPDATE (version, position, state) ON offers TO {role};
GRANT SELECT, INSERT, UPDATE ON risks TO {role};
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(runtime_role(op)).as_string()))
