"""Where in the ledger the row is that an opening opens: found by its key, not searched for."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("ALTER TABLE transparency_openings ADD COLUMN ledger_position bigint")
