"""Wrapped data keys and the epochs they are wrapped under."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE epochs (
    epoch integer NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_epochs PRIMARY KEY (epoch)
);

CREATE TABLE record_keys (
    key_id bytea NOT NULL,
    wrapped bytea NOT NULL,
    epoch integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_record_keys PRIMARY KEY (key_id),
    CONSTRAINT fk_record_keys_epoch_epochs FOREIGN KEY (epoch) REFERENCES epochs (epoch),
    CONSTRAINT ck_record_keys_key_id CHECK (octet_length(key_id) = 16),
    CONSTRAINT ck_record_keys_wrapped CHECK (octet_length(wrapped) = 40)
);
CREATE INDEX ix_record_keys_epoch ON record_keys (epoch);
CREATE INDEX ix_record_keys_created_at ON record_keys (created_at);
"""

GRANTS = """
GRANT SELECT, INSERT, DELETE ON epochs TO {role};
GRANT SELECT, INSERT, DELETE, UPDATE (wrapped, epoch) ON record_keys TO {role};
"""


def upgrade() -> None:
    """Create them, and let the run-time role create, re-wrap and destroy keys."""
    role = sql.Identifier(runtime_role(op)).as_string()
    op.execute(TABLES)
    op.execute(GRANTS.format(role=role))
