"""Use case: let a matcher decide, without downtime, and let an earlier one decide again.

A matcher is activated at a position of the partition. From there on every process links by it: what arrives is joined
by it at once, with all that it hangs together with; the rest follows, as `take_over` says.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from rapport_identity.app.matchers import MatcherOrigin, Matchers, Version, get_matcher
from rapport_identity.app.partition import Partition, Session
from rapport_identity.app.units import Write
from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.matcher import Matcher

PREVIEW_HOLDS: Final = timedelta(days=1)
"""How long a preview says what an activation would move."""


async def activate(
    session: Session, matchers: Matchers, matcher_id: str, *, actor: str, reason: str, most_moved: int | None
) -> Version:
    """Let a matcher decide from here on; one that does already goes on.

    Args:
        session: The partition, locked.
        matchers: Where they are kept.
        matcher_id: The matcher, a new or an earlier one.
        actor: Subject of the operator.
        reason: Why, as a code.
        most_moved: Refuse if it would move more records than this; None for no bound.

    Raises:
        RapportError: MATCHER_NOT_FOUND, PREVIEW_NEEDED, TOO_MANY_MOVED, NOT_READY.
    """
    found = await get_matcher(matchers, session.unit, matcher_id)
    if found.deciding:
        return found
    if most_moved is not None:
        previewed = await matchers.previewed(session.unit, matcher_id, session.matcher_id)
        if previewed is None or session.head.recorded_at - previewed.as_of > PREVIEW_HOLDS:
            raise ERRORS.error("PREVIEW_NEEDED", "there is no preview of the last day against what decides now")
        if previewed.records_moved > most_moved:
            raise ERRORS.error("TOO_MANY_MOVED", "it would move more records than allowed", field="max_records_moved")
    await matchers.activate(session.unit, matcher_id, actor=actor, reason=reason)
    await session.unit.write(Write())
    return await get_matcher(matchers, session.unit, matcher_id)


async def ship(partition: Partition, matchers: Matchers, matcher_id: str, matcher: Matcher) -> None:
    """Keep the matcher of this release, and let it decide where none ever did.

    A later release that ships another one changes nothing until an operator activates it.

    Raises:
        RapportError: NOT_READY.
    """
    async with partition.units.unit() as unit:
        if await matchers.get(unit, matcher_id) is not None and (await unit.read()).matcher_id:
            return
    draft = await matchers.draft(matcher, MatcherOrigin.DEFAULT)
    async with partition.session() as session:
        await matchers.add(session.unit, matcher_id, draft)
        if not session.head.matcher_id:
            await matchers.activate(session.unit, matcher_id, actor="", reason="shipped")
            await session.unit.write(Write())
