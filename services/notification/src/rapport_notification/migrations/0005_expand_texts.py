"""Texts that people sent and of which something is left to do."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0005"
down_revision = "0004"

TABLES = """
CREATE TABLE texts (
    text_id text NOT NULL,
    address_hash bytea NOT NULL,
    profile_id text NOT NULL,
    notification_id text NOT NULL,
    brand_id text NOT NULL,
    meaning text NOT NULL,
    language text NOT NULL,
    sealed bytea NOT NULL,
    received_us bigint NOT NULL,
    due_us bigint NOT NULL,
    tries smallint NOT NULL,
    unknown boolean NOT NULL,
    begun boolean NOT NULL,
    CONSTRAINT pk_texts PRIMARY KEY (text_id),
    CONSTRAINT ck_texts_meaning CHECK (meaning IN ('stop', 'start', 'help', 'review'))
);
CREATE INDEX ix_texts_due_us ON texts (due_us) WHERE meaning <> 'review';
CREATE INDEX ix_texts_received_us ON texts (received_us, text_id) WHERE meaning = 'review';
CREATE INDEX ix_texts_address_hash ON texts (address_hash);
CREATE INDEX ix_texts_profile_id ON texts (profile_id);
"""
GRANTS = "GRANT SELECT, INSERT, UPDATE, DELETE ON texts TO {role}"


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(runtime_role(op)).as_string()))
