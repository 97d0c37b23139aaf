"""Records that webhooks and people hand in, sealed, until the package they go into is."""

from alembic import op
from rapport_chassis.database.migrate import runtime_role

revision = "0011"
down_revision = "0010"

TABLES = """
CREATE TABLE privacy_handed_records (
    task_id text NOT NULL,
    request_id text NOT NULL,
    upload_id text NOT NULL,
    sealed_key bytea NOT NULL,
    handed_at timestamptz NOT NULL,
    CONSTRAINT pk_privacy_handed_records PRIMARY KEY (task_id)
);
CREATE INDEX ix_privacy_handed_records_request_id ON privacy_handed_records (request_id);
CREATE UNIQUE INDEX uq_privacy_handed_records_upload_id ON privacy_handed_records (upload_id);

CREATE TABLE privacy_handed_pieces (
    upload_id text NOT NULL,
    number integer NOT NULL,
    sealed bytea NOT NULL,
    written_at timestamptz NOT NULL,
    CONSTRAINT pk_privacy_handed_pieces PRIMARY KEY (upload_id, number)
);
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(f'GRANT SELECT, INSERT, DELETE ON privacy_handed_records, privacy_handed_pieces TO "{runtime_role(op)}"')
