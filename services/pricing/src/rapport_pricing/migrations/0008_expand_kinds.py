"""Every kind that was decided about is one that may be: the check of the release before is made good."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("ALTER TABLE decided_versions VALIDATE CONSTRAINT ck_decided_versions_kind")
