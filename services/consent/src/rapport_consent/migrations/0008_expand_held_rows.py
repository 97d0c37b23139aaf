"""Rows of the ledger that a legal hold keeps survive the erasure of who they name, until the hold is released."""

from alembic import op
from rapport_chassis.database.migrate import runtime_role

revision = "0008"
down_revision = "0007"

BLANK = """
CREATE FUNCTION blank_erased_but(erased_id text, kept text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE blanked bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM fences WHERE profile_id = erased_id AND kind = 'erased') THEN
        RAISE EXCEPTION 'no erasure is recorded for this id' USING ERRCODE = 'check_violation';
    END IF;
    UPDATE ledger SET kind = 'blank', receipt_id = NULL, purpose_id = '', brand_id = '', occurred_at = NULL,
        expires_at = NULL, reask_not_before = NULL, details = NULL, change = NULL
    WHERE named_id = erased_id AND kind NOT IN ('fence', 'merge', 'split', 'purpose', 'blank')
        AND reference <> ALL (kept);
    GET DIAGNOSTICS blanked = ROW_COUNT;
    DELETE FROM imported_rows
    WHERE reference IN (SELECT reference FROM ledger WHERE named_id = erased_id AND kind = 'blank');
    RETURN blanked;
END $$;
REVOKE ALL ON FUNCTION blank_erased_but(text, text[]) FROM PUBLIC;
"""


def upgrade() -> None:
    op.execute(BLANK)
    op.execute(f'GRANT EXECUTE ON FUNCTION blank_erased_but(text, text[]) TO "{runtime_role(op)}"')
