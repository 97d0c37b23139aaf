"""Levels at no price, and shares of cost, by which products teach each other."""

from alembic import op

revision = "0010"
down_revision = "0009"

COLUMNS = """
ALTER TABLE learners ADD COLUMN level_free boolean NOT NULL DEFAULT false;
ALTER TABLE learners ADD COLUMN cost_share double precision;
"""


def upgrade() -> None:
    op.execute(COLUMNS)
