"""`Reviews`: questions to stewards in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from rapport_chassis.database.pool import Connection
from rapport_chassis.ids import new_id

from rapport_identity.adapters.resolving import ResolvingUnit
from rapport_identity.app.reviews import Changed, Label, Review, ReviewVerdict
from rapport_identity.app.units import Unit
from rapport_identity.domain.reviews import Question, ReviewCause

_LOOKED_TO: Final = "SELECT position, matcher_id FROM review_progress"
_PROGRESS: Final = "SELECT position, matcher_id FROM review_progress FOR UPDATE SKIP LOCKED"
_CHANGED: Final = """
SELECT position, record_no FROM records WHERE position > %(since)s AND position <= %(until)s
UNION SELECT position, record_no FROM moves
    WHERE position > %(since)s AND position <= %(until)s AND kind = 'record' AND to_profile <> ''
UNION SELECT position, record_no FROM constraints JOIN constrained_records USING (constraint_id)
    WHERE position > %(since)s AND position <= %(until)s
ORDER BY position, record_no LIMIT %(limit)s
"""
_LOOKED: Final = "UPDATE review_progress SET position = %s, matcher_id = %s"
_POSITIONS: Final = 50
"""How far one look reaches, so that it costs the same however much is left."""
_DROP: Final = """
DELETE FROM reviews WHERE verdict = '' AND (first_no = ANY (%(here)s) OR second_no = ANY (%(here)s))
    AND (first_no, second_no) NOT IN (SELECT * FROM unnest(%(first)s::bigint[], %(second)s::bigint[]))
"""
# What could not be told is not asked again while the evidence is the same.
_ASK: Final = """
INSERT INTO reviews (review_id, cause, first_no, second_no, gain, evidence, created_at)
SELECT asked.*, clock_timestamp()
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::float8[], %s::bytea[])
    AS asked (review_id, cause, first_no, second_no, gain, evidence)
WHERE NOT EXISTS (SELECT FROM reviews AS told WHERE told.verdict = 'undecided' AND told.evidence = asked.evidence
    AND told.first_no = asked.first_no AND told.second_no = asked.second_no)
ON CONFLICT (first_no, second_no) WHERE verdict = '' DO UPDATE
SET cause = excluded.cause, gain = excluded.gain, evidence = excluded.evidence
"""
_COLUMNS: Final = "review_id, cause, first_no, second_no, gain, created_at, verdict, decided_by, decided_at"
_ON: Final = "(%(numbers)s::bigint[] IS NULL OR first_no = ANY (%(numbers)s) OR second_no = ANY (%(numbers)s))"
_OPEN: Final = f"""
SELECT {_COLUMNS} FROM reviews WHERE verdict = '' AND {_ON}
    AND (gain, review_id) < (%(gain)s, %(id)s) ORDER BY gain DESC, review_id DESC LIMIT %(limit)s
"""  # noqa: S608 - made of constants
_DECIDED: Final = f"""
SELECT {_COLUMNS} FROM reviews WHERE verdict <> '' AND {_ON}
    AND (decided_at, review_id) < (%(at)s, %(id)s) ORDER BY decided_at DESC, review_id DESC LIMIT %(limit)s
"""  # noqa: S608 - made of constants
_GET: Final = f"SELECT {_COLUMNS} FROM reviews WHERE review_id = %s"  # noqa: S608 - made of constants
_DECIDE: Final = """
UPDATE reviews SET verdict = %s, decided_by = %s, decided_at = %s, reason = %s WHERE review_id = %s AND verdict = ''
"""
_LABELS: Final = """
SELECT DISTINCT ON (first_no, second_no) first_no, second_no, verdict = 'same' FROM reviews
WHERE verdict IN ('same', 'different') AND EXISTS (SELECT FROM constraints
    WHERE constraints.review_id = reviews.review_id AND withdrawn_at IS NULL)
ORDER BY first_no, second_no, decided_at DESC
"""


class ReviewQueue:
    """`Reviews`."""

    async def changed(self, unit: Unit, until: int, matcher_id: str, at_least: int) -> Changed | None:
        """Return what changed since close calls were last looked for; None if nothing did, or somebody else looks."""
        if await (await _on(unit).execute(_LOOKED_TO)).fetchone() == (until, matcher_id):
            return None  # without holding the row, which would look like a write to whoever waits for one
        progress = await (await _on(unit).execute(_PROGRESS)).fetchone()
        if progress is None:
            return None
        position, looked_by = progress
        since = position if looked_by == matcher_id else 0
        if since >= until:
            return None
        until = min(until, since + _POSITIONS)
        values = {"since": since, "until": until, "limit": at_least}
        rows = await (await _on(unit).execute(_CHANGED, values)).fetchall()
        if len(rows) < at_least:
            return Changed([number for _, number in rows], until, matcher_id)
        last = rows[-1][0]
        whole = await (await _on(unit).execute(_CHANGED, {"since": since, "until": last, "limit": None})).fetchall()
        return Changed([number for _, number in whole], last, matcher_id)

    async def settle(self, unit: Unit, numbers: Collection[int], found: Sequence[Question]) -> None:
        """Have exactly these questions open about these records; one that was open stays the same review."""
        first, second = [each.first for each in found], [each.second for each in found]
        await _on(unit).execute(_DROP, {"here": list(numbers), "first": first, "second": second})
        rows = [
            (new_id("review"), each.cause.value, each.first, each.second, each.gain, each.evidence) for each in found
        ]
        if rows:
            await _on(unit).execute(_ASK, [list(column) for column in zip(*rows, strict=True)])

    async def looked(self, unit: Unit, changed: Changed) -> None:
        """Note up to which position close calls were looked for."""
        await _on(unit).execute(_LOOKED, (changed.until, changed.matcher_id))

    async def open_page(
        self, unit: Unit, numbers: Collection[int] | None, after: tuple[float, str] | None, limit: int
    ) -> list[Review]:
        """Return open reviews, the highest gain first: after the given one, on any of these records."""
        gain, review_id = after or (float("inf"), "")
        values = {"numbers": _array(numbers), "gain": gain, "id": review_id, "limit": limit}
        return await _read(unit, _OPEN, values)

    async def decided_page(
        self, unit: Unit, numbers: Collection[int] | None, after: tuple[datetime, str] | None, limit: int
    ) -> list[Review]:
        """Return answered reviews, the newest answer first: after the given one, on any of these records."""
        at, review_id = after or ("infinity", "")
        return await _read(unit, _DECIDED, {"numbers": _array(numbers), "at": at, "id": review_id, "limit": limit})

    async def get(self, unit: Unit, review_id: str) -> Review | None:
        """Return a review."""
        found = await _read(unit, _GET, (review_id,))
        return found[0] if found else None

    async def decide(self, unit: Unit, review: Review, reason: str) -> None:
        """Keep the answer of a review, which is open."""
        await _on(unit).execute(
            _DECIDE, (review.verdict, review.decided_by, review.decided_at, reason, review.review_id)
        )

    async def labels(self, unit: Unit) -> list[Label]:
        """Return what stewards said of pairs of records, unless they have taken it back."""
        return [Label(*row) for row in await (await _on(unit).execute(_LABELS)).fetchall()]


async def _read(unit: Unit, statement: str, values: Any) -> list[Review]:
    rows = await (await _on(unit).execute(statement.encode(), values)).fetchall()
    return [
        Review(
            review_id,
            ReviewCause(cause),
            first,
            second,
            gain,
            created_at,
            ReviewVerdict(verdict) if verdict else None,
            *decided,
        )
        for review_id, cause, first, second, gain, created_at, verdict, *decided in rows
    ]


def _array(numbers: Collection[int] | None) -> list[int] | None:
    return None if numbers is None else list(numbers)


def _on(unit: Unit) -> Connection:
    assert isinstance(unit, ResolvingUnit)
    return unit.connection
