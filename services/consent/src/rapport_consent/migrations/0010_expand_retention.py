"""Requests that ended are forgotten once the time they are on record is over; certificates, which name nobody, stay."""

from alembic import op
from rapport_chassis.database.migrate import runtime_role

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute(f'GRANT DELETE ON privacy_requests, privacy_asked_tasks TO "{runtime_role(op)}"')
