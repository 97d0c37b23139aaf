"""Risks that wait for an answer: the gate could not say whether one may be given."""

from alembic import op

revision = "0011"
down_revision = "0010"

COLUMNS = """
ALTER TABLE risks ADD COLUMN waiting_event_id text NOT NULL DEFAULT '';
ALTER TABLE risks ADD COLUMN waiting_level smallint NOT NULL DEFAULT 0;
ALTER TABLE risks ADD COLUMN waiting_held_out boolean NOT NULL DEFAULT false;
"""

INDEX = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_risks_waiting ON risks (profile_id) WHERE waiting_event_id <> ''
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    with op.get_context().autocommit_block():
        op.execute(INDEX)
