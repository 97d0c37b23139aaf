"""The consent ledger, its head, its projections and the chassis tables."""

from alembic import op
from rapport_chassis.database.migrate import runtime_role
from rapport_chassis.database.schema_v1 import create_chassis_tables_v1

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE ledger (
    position bigint NOT NULL,
    epoch text NOT NULL,
    recorded_at timestamptz NOT NULL,
    reference text NOT NULL,
    receipt_id text,
    named_id text NOT NULL,
    kind text NOT NULL,
    purpose_id text NOT NULL DEFAULT '',
    brand_id text NOT NULL DEFAULT '',
    occurred_at timestamptz,
    expires_at timestamptz,
    reask_not_before timestamptz,
    details jsonb,
    change bytea,
    CONSTRAINT pk_ledger PRIMARY KEY (position),
    CONSTRAINT ck_ledger_kind CHECK (kind IN ('grant', 'refuse', 'withdraw', 'object', 'opt_out', 'restrict', 'lift',
        'merge', 'split', 'fence', 'purpose', 'blank'))
);
CREATE INDEX ix_ledger_named_id_position ON ledger (named_id, position);
CREATE INDEX ix_ledger_recorded_at ON ledger (recorded_at);
CREATE UNIQUE INDEX uq_ledger_receipt_id ON ledger (receipt_id) WHERE receipt_id IS NOT NULL;

CREATE TABLE ledger_head (
    singleton boolean NOT NULL DEFAULT true,
    epoch text NOT NULL,
    timeline text NOT NULL,
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    purposes_at bigint NOT NULL DEFAULT 0,
    CONSTRAINT pk_ledger_head PRIMARY KEY (singleton),
    CONSTRAINT ck_ledger_head_singleton CHECK (singleton)
);
INSERT INTO ledger_head (epoch, timeline, position, recorded_at)
VALUES (gen_random_uuid()::text, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), 0, now());

CREATE TABLE profiles (
    profile_id text NOT NULL,
    current_id text NOT NULL,
    family text NOT NULL,
    CONSTRAINT pk_profiles PRIMARY KEY (profile_id)
);
CREATE INDEX ix_profiles_family ON profiles (family);

CREATE TABLE subject_states (
    profile_id text NOT NULL,
    state bytea NOT NULL,
    CONSTRAINT pk_subject_states PRIMARY KEY (profile_id)
);

CREATE TABLE fences (
    profile_id text NOT NULL,
    kind text NOT NULL,
    position bigint NOT NULL,
    privacy_request_id text NOT NULL,
    CONSTRAINT pk_fences PRIMARY KEY (profile_id),
    CONSTRAINT ck_fences_kind CHECK (kind IN ('erased'))
);

CREATE TABLE imported_rows (
    row_key bytea NOT NULL,
    reference text NOT NULL,
    CONSTRAINT pk_imported_rows PRIMARY KEY (row_key)
);
CREATE INDEX ix_imported_rows_reference ON imported_rows (reference);
"""

# The only way a ledger row ever changes: rows of an id with a recorded erasure lose all they said. Position, time and
# the opaque id stay, so that positions remain gap-free and a replica still learns of the fence.
BLANK = """
CREATE FUNCTION blank_erased(erased_id text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE blanked bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM fences WHERE profile_id = erased_id AND kind = 'erased') THEN
        RAISE EXCEPTION 'no erasure is recorded for this id' USING ERRCODE = 'check_violation';
    END IF;
    UPDATE ledger SET kind = 'blank', receipt_id = NULL, purpose_id = '', brand_id = '', occurred_at = NULL,
        expires_at = NULL, reask_not_before = NULL, details = NULL, change = NULL
    WHERE named_id = erased_id AND kind NOT IN ('fence', 'merge', 'split', 'purpose', 'blank');
    GET DIAGNOSTICS blanked = ROW_COUNT;
    DELETE FROM imported_rows
    WHERE reference IN (SELECT reference FROM ledger WHERE named_id = erased_id AND kind = 'blank');
    RETURN blanked;
END $$;
REVOKE ALL ON FUNCTION blank_erased(text) FROM PUBLIC;
"""

GRANTS = """
GRANT SELECT, INSERT ON ledger, fences TO {role};
GRANT SELECT, UPDATE ON ledger_head TO {role};
GRANT SELECT, INSERT, UPDATE ON profiles TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON subject_states TO {role};
GRANT SELECT, INSERT ON imported_rows TO {role};
GRANT EXECUTE ON FUNCTION blank_erased(text) TO {role};
"""


def upgrade() -> None:
    role = runtime_role(op)
    create_chassis_tables_v1(op, role)
    op.execute(TABLES)
    op.execute(BLANK)
    op.execute(GRANTS.format(role=f'"{role}"'))
