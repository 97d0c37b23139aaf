"""Privacy requests: their journal, what frozen profiles kept out, what must not come back, keys to be destroyed."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role
from rapport_privacy.participant.schema_v1 import create_participant_tables_v1

revision = "0005"
down_revision = "0004"

TABLES = """
CREATE TABLE parked_records (
    record_no bigint NOT NULL,
    profile_id text NOT NULL,
    CONSTRAINT pk_parked_records PRIMARY KEY (record_no)
);
CREATE INDEX ix_parked_records_profile_id ON parked_records (profile_id);

CREATE TABLE suppressions (
    kind text NOT NULL,
    hash bytea NOT NULL,
    content bytea NOT NULL,
    erased_at timestamptz NOT NULL,
    CONSTRAINT pk_suppressions PRIMARY KEY (kind, hash),
    CONSTRAINT ck_suppressions_kind CHECK (kind IN ('record', 'identifier'))
);
CREATE INDEX ix_suppressions_erased_at ON suppressions (erased_at);

CREATE TABLE doomed_keys (
    key_id bytea NOT NULL,
    request_id text NOT NULL,
    CONSTRAINT pk_doomed_keys PRIMARY KEY (key_id)
);
CREATE INDEX ix_doomed_keys_request_id ON doomed_keys (request_id);
"""

GRANTS = """
GRANT SELECT, INSERT, DELETE ON parked_records, doomed_keys TO {role};
GRANT SELECT, INSERT, UPDATE (content, erased_at), DELETE ON suppressions TO {role};
"""


def upgrade() -> None:
    role = runtime_role(op)
    create_participant_tables_v1(op, role)
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(role).as_string()))
