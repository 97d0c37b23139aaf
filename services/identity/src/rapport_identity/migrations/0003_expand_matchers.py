"""Matchers and which of them decides; reviews of close calls."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0003"
down_revision = "0002"

TABLES = """
ALTER TABLE partition_head ADD matcher_id text NOT NULL DEFAULT '';

CREATE TABLE matchers (
    matcher_id text NOT NULL,
    origin text NOT NULL,
    sha256 bytea NOT NULL,
    body bytea NOT NULL,
    key_id bytea NOT NULL,
    trained_on bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_matchers PRIMARY KEY (matcher_id),
    CONSTRAINT ck_matchers_origin CHECK (origin IN ('default', 'trained', 'imported'))
);
CREATE INDEX ix_matchers_created_at ON matchers (created_at);
CREATE INDEX ix_matchers_key_id ON matchers (key_id);

CREATE TABLE matcher_activations (
    position bigint NOT NULL,
    matcher_id text NOT NULL,
    activated_at timestamptz NOT NULL,
    activated_by text NOT NULL,
    reason text NOT NULL,
    last_record bigint NOT NULL,
    joined_to bigint NOT NULL DEFAULT 0,
    CONSTRAINT pk_matcher_activations PRIMARY KEY (position),
    CONSTRAINT fk_matcher_activations_matcher_id_matchers FOREIGN KEY (matcher_id) REFERENCES matchers (matcher_id)
);
CREATE INDEX ix_matcher_activations_matcher_id ON matcher_activations (matcher_id);

CREATE TABLE matcher_previews (
    matcher_id text NOT NULL,
    against_matcher_id text NOT NULL,
    records_moved bigint NOT NULL,
    as_of timestamptz NOT NULL,
    CONSTRAINT pk_matcher_previews PRIMARY KEY (matcher_id, against_matcher_id),
    CONSTRAINT fk_matcher_previews_matcher_id_matchers FOREIGN KEY (matcher_id) REFERENCES matchers (matcher_id)
);

CREATE TABLE reviews (
    review_id text NOT NULL,
    cause text NOT NULL,
    first_no bigint NOT NULL,
    second_no bigint NOT NULL,
    gain double precision NOT NULL,
    evidence bytea NOT NULL,
    created_at timestamptz NOT NULL,
    verdict text NOT NULL DEFAULT '',
    decided_by text NOT NULL DEFAULT '',
    decided_at timestamptz,
    reason text NOT NULL DEFAULT '',
    CONSTRAINT pk_reviews PRIMARY KEY (review_id),
    CONSTRAINT ck_reviews_pair CHECK (first_no < second_no),
    CONSTRAINT ck_reviews_verdict CHECK (verdict IN ('', 'same', 'different', 'undecided')),
    CONSTRAINT ck_reviews_decided CHECK ((verdict = '') = (decided_at IS NULL))
);
CREATE UNIQUE INDEX uq_reviews_open ON reviews (first_no, second_no) WHERE verdict = '';
CREATE INDEX ix_reviews_gain ON reviews (gain, review_id) WHERE verdict = '';
CREATE INDEX ix_reviews_decided_at ON reviews (decided_at, review_id) WHERE verdict <> '';
CREATE INDEX ix_reviews_first_no ON reviews (first_no);
CREATE INDEX ix_reviews_second_no ON reviews (second_no);

CREATE TABLE review_progress (
    singleton boolean NOT NULL DEFAULT true,
    position bigint NOT NULL DEFAULT 0,
    matcher_id text NOT NULL DEFAULT '',
    CONSTRAINT pk_review_progress PRIMARY KEY (singleton),
    CONSTRAINT ck_review_progress_singleton CHECK (singleton)
);
INSERT INTO review_progress DEFAULT VALUES;
"""

# A matcher never changes, and that it was activated stays on record.
GRANTS = """
GRANT SELECT, INSERT ON matchers TO {role};
GRANT SELECT, INSERT, UPDATE (joined_to) ON matcher_activations TO {role};
GRANT SELECT, INSERT, UPDATE ON matcher_previews TO {role};
GRANT SELECT, INSERT, DELETE ON reviews TO {role};
GRANT UPDATE (gain, cause, evidence, verdict, decided_by, decided_at, reason) ON reviews TO {role};
GRANT SELECT, UPDATE ON review_progress TO {role};
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(runtime_role(op)).as_string()))
