"""Create the chassis' tables."""

from alembic import op
from rapport_chassis.database.migrate import runtime_role
from rapport_chassis.database.schema_v1 import create_chassis_tables_v1

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_chassis_tables_v1(op, runtime_role(op))
