"""The trace of what had a message taken on, so that the send can be followed back to it."""

from alembic import op

revision = "0006"
down_revision = "0005"

COLUMNS = """
ALTER TABLE notifications ADD COLUMN traceparent text;
ALTER TABLE fanouts ADD COLUMN traceparent text;
"""


def upgrade() -> None:
    op.execute(COLUMNS)
