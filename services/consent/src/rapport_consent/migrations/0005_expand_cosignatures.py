"""What witnesses have signed of the transparency log."""

from alembic import op
from rapport_chassis.database.migrate import runtime_role

revision = "0005"
down_revision = "0004"

TABLES = """
CREATE TABLE transparency_cosignatures (
    size bigint NOT NULL,
    witness text NOT NULL,
    line text NOT NULL,
    CONSTRAINT pk_transparency_cosignatures PRIMARY KEY (size, witness)
);
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(f'GRANT SELECT, INSERT, DELETE ON transparency_cosignatures TO "{runtime_role(op)}"')
