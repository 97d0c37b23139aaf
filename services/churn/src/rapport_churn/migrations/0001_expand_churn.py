"""The event log, decisions, scores, reviews, models and the chassis tables."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role
from rapport_chassis.database.schema_v1 import create_chassis_tables_v1

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE log_head (
    singleton boolean NOT NULL DEFAULT true,
    epoch text NOT NULL,
    timeline text NOT NULL,
    position bigint NOT NULL,
    holdout_salt bytea NOT NULL,
    CONSTRAINT pk_log_head PRIMARY KEY (singleton),
    CONSTRAINT ck_log_head_singleton CHECK (singleton)
);
INSERT INTO log_head (epoch, timeline, position, holdout_salt)
VALUES (
    gen_random_uuid()::text,
    substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
    0,
    decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
);

CREATE TABLE facts (
    fact_id text NOT NULL,
    position bigint NOT NULL,
    profile_id text NOT NULL,
    moved_from text[] NOT NULL DEFAULT '{}',
    owner_version bigint NOT NULL,
    kind smallint NOT NULL,
    occurred_at bigint NOT NULL,
    arrived_at bigint NOT NULL,
    value bigint NOT NULL,
    quantity bigint NOT NULL,
    channel smallint NOT NULL,
    CONSTRAINT pk_facts PRIMARY KEY (fact_id)
);
CREATE UNIQUE INDEX uq_facts_position ON facts (position);
CREATE INDEX ix_facts_profile_id ON facts (profile_id);
CREATE INDEX ix_facts_moved_from ON facts USING gin (moved_from) WHERE moved_from <> '{}';

CREATE TABLE removals (
    position bigint NOT NULL,
    profile_ids text[] NOT NULL,
    scope text NOT NULL,
    removed_at timestamptz NOT NULL,
    messages_deleted_at timestamptz,
    CONSTRAINT pk_removals PRIMARY KEY (position),
    CONSTRAINT ck_removals_scope CHECK (scope IN ('scores', 'facts', 'all'))
);
CREATE INDEX ix_removals_open ON removals (position) WHERE messages_deleted_at IS NULL;

CREATE TABLE decisions (
    decision_id text NOT NULL,
    profile_id text NOT NULL,
    scored_at timestamptz NOT NULL,
    body bytea,
    features bytea,
    CONSTRAINT pk_decisions PRIMARY KEY (decision_id),
    CONSTRAINT ck_decisions_erased CHECK ((profile_id = '') = (body IS NULL))
);
CREATE INDEX ix_decisions_profile_id ON decisions (profile_id) WHERE profile_id <> '';
CREATE INDEX ix_decisions_scored_at ON decisions (scored_at);

CREATE TABLE scores (
    profile_id text NOT NULL,
    version bigint NOT NULL,
    risk_version bigint NOT NULL,
    risk smallint NOT NULL,
    churn double precision,
    value bigint,
    at_stake double precision,
    segment text NOT NULL,
    tier text NOT NULL,
    model_id text NOT NULL,
    scored_at timestamptz NOT NULL,
    rescore_at timestamptz,
    body bytea,
    CONSTRAINT pk_scores PRIMARY KEY (profile_id),
    CONSTRAINT ck_scores_void CHECK (
        CASE WHEN body IS NULL THEN num_nonnulls(churn, value, at_stake) = 0 AND risk = 0
        ELSE num_nulls(churn, value, at_stake, rescore_at) = 0 END
    )
);
CREATE INDEX ix_scores_rescore_at ON scores (rescore_at) WHERE rescore_at IS NOT NULL;
CREATE INDEX ix_scores_model_id ON scores (model_id) WHERE body IS NOT NULL;
CREATE INDEX ix_scores_churn ON scores (churn DESC, profile_id) WHERE body IS NOT NULL;
CREATE INDEX ix_scores_value ON scores (value DESC, profile_id) WHERE body IS NOT NULL;
CREATE INDEX ix_scores_at_stake ON scores (at_stake DESC, profile_id) WHERE body IS NOT NULL;

CREATE TABLE rescoring (
    singleton boolean NOT NULL DEFAULT true,
    epoch text NOT NULL,
    position bigint NOT NULL,
    CONSTRAINT pk_rescoring PRIMARY KEY (singleton),
    CONSTRAINT ck_rescoring_singleton CHECK (singleton)
);
INSERT INTO rescoring (epoch, position) VALUES ('', 0);

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

CREATE TABLE models (
    model_id text NOT NULL,
    sha256 bytea NOT NULL,
    body bytea NOT NULL,
    log_epoch text NOT NULL,
    log_position bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_models PRIMARY KEY (model_id)
);
CREATE INDEX ix_models_created_at ON models (created_at, model_id);

CREATE TABLE promotions (
    role smallint NOT NULL,
    version bigint NOT NULL,
    model_id text NOT NULL,
    previous_model_id text NOT NULL,
    promoted_at timestamptz NOT NULL,
    promoted_by text NOT NULL,
    reason text NOT NULL,
    despite_gates boolean NOT NULL,
    CONSTRAINT pk_promotions PRIMARY KEY (role, version),
    CONSTRAINT fk_promotions_model_id_models FOREIGN KEY (model_id) REFERENCES models (model_id)
);
CREATE INDEX ix_promotions_promoted_at ON promotions (promoted_at, role, version);
"""

# A model never changes, and who served when is only ever added to. A decision is written once; an erasure blanks it.
GRANTS = """
GRANT SELECT, UPDATE (epoch, timeline, position) ON log_head TO {role};
GRANT SELECT, INSERT, UPDATE (position, profile_id, moved_from, owner_version), DELETE ON facts TO {role};
GRANT SELECT, INSERT, UPDATE (messages_deleted_at) ON removals TO {role};
GRANT SELECT, INSERT, UPDATE (profile_id, body, features), DELETE ON decisions TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON scores TO {role};
GRANT SELECT, UPDATE ON rescoring TO {role};
GRANT SELECT, INSERT, UPDATE (profile_id, state, decided_at, decided_by, reason) ON reviews TO {role};
GRANT SELECT, INSERT ON models, promotions TO {role};
"""


def upgrade() -> None:
    role = runtime_role(op)
    create_chassis_tables_v1(op, role)
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(role).as_string()))
