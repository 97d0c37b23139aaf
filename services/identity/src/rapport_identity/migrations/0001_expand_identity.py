"""Records, profiles, their history, facts, constraints and the chassis tables."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role
from rapport_chassis.database.schema_v1 import create_chassis_tables_v1

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE partition_head (
    singleton boolean NOT NULL DEFAULT true,
    epoch text NOT NULL,
    timeline text NOT NULL,
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    hash_versions integer[] NOT NULL DEFAULT '{1}',
    hashed_since timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_partition_head PRIMARY KEY (singleton),
    CONSTRAINT ck_partition_head_singleton CHECK (singleton),
    CONSTRAINT ck_partition_head_hash_versions CHECK (cardinality(hash_versions) > 0)
);
INSERT INTO partition_head (epoch, timeline, position, recorded_at)
VALUES (gen_random_uuid()::text, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), 0, now());

CREATE SEQUENCE record_numbers CACHE 1;
CREATE TABLE records (
    record_no bigint NOT NULL,
    record_id text NOT NULL,
    source text NOT NULL,
    source_key bytea,
    profile_id text NOT NULL,
    recorded_under text NOT NULL,
    version integer NOT NULL,
    key_id bytea,
    hash_version integer NOT NULL,
    value bytea,
    digest bytea,
    occurred_at timestamptz,
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    erased boolean NOT NULL DEFAULT false,
    CONSTRAINT pk_records PRIMARY KEY (record_no),
    CONSTRAINT ck_records_erased
        CHECK (CASE WHEN erased THEN num_nonnulls(source_key, key_id, value, digest, occurred_at) = 0
            ELSE num_nulls(source_key, key_id, value, digest, occurred_at) = 0 END)
);
CREATE UNIQUE INDEX uq_records_source_key ON records (source, source_key);
CREATE UNIQUE INDEX uq_records_key_id ON records (key_id);
CREATE INDEX ix_records_profile_id ON records (profile_id);
CREATE INDEX ix_records_position ON records (position);

CREATE TABLE identifiers (
    kind smallint NOT NULL,
    hash bytea NOT NULL,
    record_no bigint NOT NULL,
    CONSTRAINT pk_identifiers PRIMARY KEY (kind, hash, record_no)
);
CREATE INDEX ix_identifiers_record_no ON identifiers (record_no);

CREATE TABLE profiles (
    profile_id text NOT NULL,
    version bigint NOT NULL,
    status text NOT NULL,
    state bytea NOT NULL,
    position bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT pk_profiles PRIMARY KEY (profile_id),
    CONSTRAINT ck_profiles_status CHECK (status IN ('active', 'frozen', 'merged', 'erased'))
);
CREATE INDEX ix_profiles_position ON profiles (position);

CREATE TABLE redirects (
    issued_id text NOT NULL,
    profile_id text NOT NULL,
    CONSTRAINT pk_redirects PRIMARY KEY (issued_id)
);
CREATE INDEX ix_redirects_profile_id ON redirects (profile_id) WHERE profile_id <> issued_id;

CREATE TABLE moves (
    position bigint NOT NULL,
    ordinal integer NOT NULL,
    recorded_at timestamptz NOT NULL,
    kind text NOT NULL,
    record_no bigint,
    from_profile text NOT NULL,
    to_profile text NOT NULL,
    matcher text NOT NULL,
    cause text NOT NULL,
    CONSTRAINT pk_moves PRIMARY KEY (position, ordinal),
    CONSTRAINT ck_moves_kind CHECK (kind IN ('record', 'redirect')),
    CONSTRAINT ck_moves_record_no CHECK ((kind = 'record') = (record_no IS NOT NULL))
);
CREATE INDEX ix_moves_record_no ON moves (record_no, position) WHERE record_no IS NOT NULL;
CREATE INDEX ix_moves_entered ON moves (to_profile, position) WHERE kind = 'record';
CREATE INDEX ix_moves_redirected ON moves (from_profile, position) WHERE kind = 'redirect';
CREATE INDEX ix_moves_turned ON moves (to_profile) WHERE kind = 'redirect' AND from_profile <> to_profile;

CREATE TABLE constraints (
    constraint_id text NOT NULL,
    kind text NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    reason text NOT NULL,
    review_id text NOT NULL DEFAULT '',
    withdrawn_at timestamptz,
    withdrawn_by text NOT NULL DEFAULT '',
    position bigint NOT NULL,
    CONSTRAINT pk_constraints PRIMARY KEY (constraint_id),
    CONSTRAINT ck_constraints_kind CHECK (kind IN ('must_match', 'never_match')),
    CONSTRAINT ck_constraints_withdrawal CHECK ((withdrawn_at IS NULL) = (withdrawn_by = ''))
);
CREATE INDEX ix_constraints_position ON constraints (position);
CREATE TABLE constrained_records (
    constraint_id text NOT NULL,
    group_no integer NOT NULL,
    record_no bigint NOT NULL,
    CONSTRAINT pk_constrained_records PRIMARY KEY (constraint_id, group_no, record_no),
    CONSTRAINT fk_constrained_records_constraint_id_constraints
        FOREIGN KEY (constraint_id) REFERENCES constraints (constraint_id)
);
CREATE INDEX ix_constrained_records_record_no ON constrained_records (record_no);

CREATE TABLE facts (
    fact_id text NOT NULL,
    record_no bigint NOT NULL,
    profile_id text NOT NULL,
    owner_version bigint NOT NULL,
    type text NOT NULL,
    payload bytea NOT NULL,
    occurred_at timestamptz NOT NULL,
    position bigint NOT NULL,
    CONSTRAINT pk_facts PRIMARY KEY (fact_id)
);
CREATE INDEX ix_facts_record_no ON facts (record_no);

CREATE TABLE source_events (
    source text NOT NULL,
    event_hash bytea NOT NULL,
    hash_version integer NOT NULL,
    fact_id text,
    answer bytea NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT pk_source_events PRIMARY KEY (source, event_hash)
);
CREATE INDEX ix_source_events_recorded_at ON source_events (recorded_at);
CREATE INDEX ix_source_events_fact_id ON source_events (fact_id) WHERE fact_id IS NOT NULL;
"""

# The history of the partition takes inserts only, and an id that was issued is never taken back.
GRANTS = """
GRANT SELECT, UPDATE ON partition_head TO {role};
GRANT USAGE ON SEQUENCE record_numbers TO {role};
GRANT SELECT, INSERT, UPDATE ON records, profiles TO {role};
GRANT SELECT, INSERT, UPDATE (profile_id) ON redirects TO {role};
GRANT SELECT, INSERT, DELETE ON identifiers, constrained_records, source_events TO {role};
GRANT SELECT, INSERT ON moves TO {role};
GRANT SELECT, INSERT, UPDATE (withdrawn_at, withdrawn_by, position) ON constraints TO {role};
GRANT SELECT, INSERT, UPDATE (profile_id, owner_version, position), DELETE ON facts TO {role};
"""


def upgrade() -> None:
    role = runtime_role(op)
    create_chassis_tables_v1(op, role)
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(role).as_string()))
