"""The ledger's own part in privacy requests: the journal of tasks, tombstones, freezes and holds of a participant."""

from alembic import op
from rapport_chassis.database.migrate import runtime_role
from rapport_privacy.participant.schema_v1 import create_participant_tables_v1

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    create_participant_tables_v1(op, runtime_role(op))
