"""Use case: record what a person answered to a notice."""

from datetime import datetime

from rapport_consent.app.ledger import LedgerWrite, Unit, write
from rapport_consent.domain.answers import Answers, draft_answers


async def record_consent(
    unit: Unit, profile_id: str, answers: Answers, *, now: datetime, production: bool
) -> LedgerWrite:
    """Record the answers as one bundle.

    Raises:
        RapportError: Why they cannot be recorded, with the path of the field.
    """
    notice = None
    if answers.notice_id:
        notice = await unit.notice(answers.notice_id, answers.notice_version, answers.locale)
    known = await unit.lock([profile_id])
    drafts = draft_answers(answers, notice, known.catalogue.purposes, now=now, production=production)
    return await write(unit, known, profile_id, drafts)
