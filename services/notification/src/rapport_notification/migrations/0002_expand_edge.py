"""What people watch, what comes back, inboxes, and where browsers and systems listen."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE watches (
    profile_id text NOT NULL,
    product_id text NOT NULL,
    variant_id text NOT NULL,
    market text NOT NULL,
    since_us bigint NOT NULL,
    CONSTRAINT pk_watches PRIMARY KEY (profile_id, product_id, variant_id, market)
);
CREATE INDEX ix_watches_product_id ON watches (product_id, market, profile_id);

CREATE TABLE stocks_seen (
    product_id text NOT NULL,
    variant_id text NOT NULL,
    market text NOT NULL,
    version bigint NOT NULL,
    available boolean NOT NULL,
    CONSTRAINT pk_stocks_seen PRIMARY KEY (product_id, variant_id, market)
);

CREATE TABLE fanouts (
    fanout_id text NOT NULL,
    trigger_id text NOT NULL,
    version integer NOT NULL,
    body jsonb NOT NULL,
    after_id text NOT NULL,
    CONSTRAINT pk_fanouts PRIMARY KEY (fanout_id)
);

CREATE TABLE feedback (
    notification_id text NOT NULL,
    attempt smallint NOT NULL,
    kind text NOT NULL,
    channel smallint NOT NULL,
    address_hash bytea NOT NULL,
    at_us bigint NOT NULL,
    CONSTRAINT pk_feedback PRIMARY KEY (notification_id, attempt, kind)
);
CREATE INDEX ix_feedback_address_hash ON feedback (address_hash, channel, at_us);

CREATE TABLE unsubscribes (
    request_id uuid NOT NULL,
    notification_id text NOT NULL,
    profile_id text NOT NULL,
    channel smallint NOT NULL,
    purpose_ids text[] NOT NULL,
    brand_id text NOT NULL,
    method smallint NOT NULL,
    occurred_us bigint NOT NULL,
    state text NOT NULL,
    tries integer NOT NULL,
    next_us bigint NOT NULL,
    position bigint NOT NULL,
    CONSTRAINT pk_unsubscribes PRIMARY KEY (request_id),
    CONSTRAINT ck_unsubscribes_state CHECK (state IN ('open', 'recorded', 'refused'))
);
CREATE INDEX ix_unsubscribes_profile_id ON unsubscribes (profile_id);
CREATE INDEX ix_unsubscribes_next_us ON unsubscribes (next_us) WHERE state = 'open';

CREATE TABLE engagements (
    notification_id text NOT NULL,
    engagement smallint NOT NULL,
    link text NOT NULL,
    at_us bigint NOT NULL,
    looks smallint NOT NULL,
    settles_us bigint NOT NULL,
    told smallint NOT NULL,
    CONSTRAINT pk_engagements PRIMARY KEY (notification_id, engagement, link)
);
CREATE INDEX ix_engagements_settles_us ON engagements (settles_us) WHERE told = 0;

CREATE TABLE inbox_head (
    singleton boolean NOT NULL DEFAULT true,
    position bigint NOT NULL,
    CONSTRAINT pk_inbox_head PRIMARY KEY (singleton),
    CONSTRAINT ck_inbox_head_singleton CHECK (singleton)
);
INSERT INTO inbox_head (position) VALUES (0);

CREATE TABLE inbox_messages (
    notification_id text NOT NULL,
    position bigint NOT NULL,
    profile_id text NOT NULL,
    brand_id text NOT NULL,
    category text NOT NULL,
    locale text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    sent_us bigint NOT NULL,
    read_us bigint NOT NULL,
    removed boolean NOT NULL,
    CONSTRAINT pk_inbox_messages PRIMARY KEY (notification_id)
);
CREATE INDEX ix_inbox_messages_profile_id ON inbox_messages (profile_id, position);

CREATE TABLE endpoints (
    endpoint_id text NOT NULL,
    profile_id text NOT NULL,
    channel smallint NOT NULL,
    host text NOT NULL,
    digest bytea NOT NULL,
    sealed bytea NOT NULL,
    registered_us bigint NOT NULL,
    failures smallint NOT NULL,
    paused_until_us bigint NOT NULL,
    CONSTRAINT pk_endpoints PRIMARY KEY (endpoint_id),
    CONSTRAINT uq_endpoints_digest UNIQUE (digest)
);
CREATE INDEX ix_endpoints_profile_id ON endpoints (profile_id, registered_us);
"""

GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE
    ON watches, stocks_seen, fanouts, feedback, unsubscribes, engagements, inbox_messages, endpoints
    TO {role};
GRANT SELECT, UPDATE (position) ON inbox_head TO {role};
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(runtime_role(op)).as_string()))
