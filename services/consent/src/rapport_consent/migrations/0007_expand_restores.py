"""What a restored ledger does before it answers anything: it begins a new epoch, and takes in what its stream tells.

Whoever restores executes, as the owner, what he does for every service: INSERT INTO privacy_restores DEFAULT VALUES.
"""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role

revision = "0007"
down_revision = "0006"

TABLES = """
ALTER TABLE ledger_head ADD COLUMN restoring boolean NOT NULL DEFAULT false, ADD COLUMN doubted_until timestamptz;

CREATE TABLE ledger_restores (
    restored_at timestamptz NOT NULL,
    epoch text NOT NULL,
    position bigint NOT NULL,
    sequence bigint NOT NULL,
    replayed_at timestamptz,
    recorded bigint NOT NULL DEFAULT 0,
    doubted_until timestamptz,
    decision text,
    decided_at timestamptz,
    decided_by text,
    CONSTRAINT pk_ledger_restores PRIMARY KEY (restored_at),
    CONSTRAINT ck_ledger_restores_decision CHECK (decision IN ('count', 'ask_again'))
);

CREATE TABLE restored_erasures (
    profile_id text NOT NULL,
    CONSTRAINT pk_restored_erasures PRIMARY KEY (profile_id)
);

CREATE FUNCTION begin_new_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_restores (restored_at, epoch, position, sequence)
    SELECT NEW.restored_at, epoch, position, (SELECT coalesce(max(sequence), 0) FROM relay_progress) FROM ledger_head;
    UPDATE ledger_head SET epoch = gen_random_uuid()::text, restoring = true;
    RETURN NULL;
END $$;
CREATE TRIGGER begin_new_epoch AFTER INSERT ON privacy_restores FOR EACH ROW EXECUTE FUNCTION begin_new_epoch();
"""

GRANTS = """
GRANT SELECT, UPDATE (replayed_at, recorded, doubted_until, decision, decided_at, decided_by)
    ON ledger_restores TO {role};
GRANT SELECT, DELETE ON restored_erasures TO {role};
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(runtime_role(op)).as_string()))
