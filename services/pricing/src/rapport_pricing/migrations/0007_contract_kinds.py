"""Experiments are authored, too: one more kind may be decided about."""

from alembic import op

revision = "0007"
down_revision = "0006"

STATEMENTS = (
    "ALTER TABLE decided_versions DROP CONSTRAINT ck_decided_versions_kind",
    """
    ALTER TABLE decided_versions ADD CONSTRAINT ck_decided_versions_kind
        CHECK (kind IN ('market', 'price_policy', 'promotion', 'experiment')) NOT VALID
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
