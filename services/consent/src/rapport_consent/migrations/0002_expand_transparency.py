"""The transparency log: leaves, the hashes of complete subtrees, its head, and what opens a leaf's commitment."""

from alembic import op
from rapport_chassis.database.migrate import runtime_role

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE transparency_leaves (
    index bigint NOT NULL,
    leaf bytea NOT NULL,
    CONSTRAINT pk_transparency_leaves PRIMARY KEY (index)
);

CREATE TABLE transparency_nodes (
    level smallint NOT NULL,
    index bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT pk_transparency_nodes PRIMARY KEY (level, index)
);

CREATE TABLE transparency_head (
    singleton boolean NOT NULL DEFAULT true,
    size bigint NOT NULL,
    root bytea NOT NULL,
    ledger_position bigint NOT NULL,
    CONSTRAINT pk_transparency_head PRIMARY KEY (singleton),
    CONSTRAINT ck_transparency_head_singleton CHECK (singleton)
);
INSERT INTO transparency_head (size, root, ledger_position) VALUES (0, sha256(''), 0);

CREATE TABLE transparency_queue (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    reference text NOT NULL,
    commitment bytea NOT NULL,
    CONSTRAINT pk_transparency_queue PRIMARY KEY (seq)
);

CREATE TABLE transparency_openings (
    reference text NOT NULL,
    request_id text,
    leaf_index bigint,
    salt bytea NOT NULL,
    record bytea,
    CONSTRAINT pk_transparency_openings PRIMARY KEY (reference)
);
CREATE INDEX ix_transparency_openings_request_id ON transparency_openings (request_id);
"""

# As in 0001, and the salts die with the rows: what is left in the log says nothing to anybody but the person.
BLANK = """
CREATE OR REPLACE FUNCTION blank_erased(erased_id text) RETURNS bigint
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
    DELETE FROM transparency_openings
    WHERE reference IN (SELECT reference FROM ledger WHERE named_id = erased_id AND kind = 'blank');
    RETURN blanked;
END $$;
"""

# A leaf or node that was written is never written again: the role that serves may only add.
GRANTS = """
GRANT SELECT, INSERT ON transparency_leaves, transparency_nodes TO {role};
GRANT SELECT, UPDATE ON transparency_head TO {role};
GRANT SELECT, INSERT, DELETE ON transparency_queue TO {role};
GRANT SELECT, INSERT, DELETE, UPDATE (leaf_index) ON transparency_openings TO {role};
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(BLANK)
    op.execute(GRANTS.format(role=f'"{runtime_role(op)}"'))
