"""Use case: record a Global Privacy Control signal."""

from datetime import datetime

from rapport_consent.app.ledger import LedgerWrite, Unit, write
from rapport_consent.domain.negatives import draft_opt_outs
from rapport_consent.domain.purposes import SignalKind
from rapport_consent.domain.signals import gpc_opts_out


async def record_gpc(
    unit: Unit, profile_id: str, sec_gpc: str, brand_id: str, *, occurred_at: datetime | None, now: datetime
) -> LedgerWrite | None:
    """Opt out of sale, sharing and cross-context advertising; None if the header says nothing of the kind.

    Raises:
        RapportError: OCCURRED_IN_FUTURE, PROFILE_ERASED.
    """
    if not gpc_opts_out(sec_gpc):
        return None
    known = await unit.lock([profile_id])
    drafts = draft_opt_outs(SignalKind.GPC, brand_id, known.catalogue.purposes, occurred_at=occurred_at, now=now)
    return await write(unit, known, profile_id, drafts)
