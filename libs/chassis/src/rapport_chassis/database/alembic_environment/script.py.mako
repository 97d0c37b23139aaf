"""${message.split("_", 1)[1].replace("_", " ").capitalize()}."""

import sqlalchemy as sa  # noqa: F401
import sqlmodel  # noqa: F401 - generated columns name its types
from alembic import op  # noqa: F401
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
