"""Folds outcomes into counts: each once, in any order, whatever is killed in between.

What a quote that personal data lowered led to is left out: it says nothing of demand at the published price, which it
would raise, and everybody would pay for personal prices. A version is held until enough visits came that teach, so it
never changes more often for that; and the share that explores is one of the visits that pay for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.failpoints import failpoint

from rapport_pricing.adapters import redemptions
from rapport_pricing.app.stored import Key
from rapport_pricing.app.times import moment_of
from rapport_pricing.domain.outcomes import NOTHING, Count, Heard, News, change
from rapport_pricing.domain.quotes import is_personal

OWN: Final = "@"
"""Begins the ids of outcomes that the service itself has reported: no caller's id can."""

_AT_ONCE: Final = 2000
_LISTING: Final = "product_id, variant_id, market"
_EXPOSURE: Final = f"{_LISTING}, price_version, exposure_id"
_EXPOSURE_AT: Final = 4
_ALONE: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended('rapport.pricing.folding', 0))"
_TAKE: Final = f"""
WITH taken AS (
    DELETE FROM waiting_outcomes WHERE outcome_id IN (
        SELECT outcome_id FROM waiting_outcomes LIMIT %s
    ) RETURNING outcome_id
)
SELECT {_LISTING}, price_version, CASE quote_id WHEN '' THEN exposure_id ELSE quote_id END, kind, outcome_id,
    occurred_us
FROM outcomes JOIN taken USING (outcome_id)
"""  # noqa: S608 - made of constants
_KNOWN: Final = f"""
SELECT {_EXPOSURE}, news, reported, heard_us FROM exposures JOIN unnest(
    %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[]
) AS named ({_EXPOSURE}) USING ({_EXPOSURE})
"""  # noqa: S608 - made of constants
_HEAR: Final = f"""
INSERT INTO exposures ({_EXPOSURE}, news, reported, heard_us) SELECT * FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::smallint[], %s::boolean[], %s::bigint[]
)
ON CONFLICT ({_EXPOSURE}) DO UPDATE
SET news = excluded.news, reported = excluded.reported, heard_us = excluded.heard_us
"""  # noqa: S608 - made of constants
_COUNT: Final = f"""
INSERT INTO version_counts AS before ({_LISTING}, price_version, shown, sold, pending) SELECT * FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]
)
ON CONFLICT ({_LISTING}, price_version) DO UPDATE SET shown = before.shown + excluded.shown,
    sold = before.sold + excluded.sold, pending = before.pending + excluded.pending
"""  # noqa: S608 - made of constants
_STIR: Final = f"""
INSERT INTO learners ({_LISTING}) SELECT * FROM unnest(%s::text[], %s::text[], %s::text[])
ON CONFLICT ({_LISTING}) DO UPDATE SET stirred = true
"""  # noqa: S608 - made of constants
_PENDING: Final = f"""
SELECT price_version, exposure_id, heard_us FROM exposures
WHERE ({_LISTING}) = (%s, %s, %s) AND news = 1 AND reported ORDER BY heard_us LIMIT %s
"""  # noqa: S608 - made of constants
_ALL: Final = f"""
SELECT price_version, CASE quote_id WHEN '' THEN exposure_id ELSE quote_id END, kind, outcome_id FROM outcomes
WHERE ({_LISTING}) = (%s, %s, %s) AND price_version = ANY (%s)
    AND NOT EXISTS (SELECT FROM waiting_outcomes AS waiting WHERE waiting.outcome_id = outcomes.outcome_id)
ORDER BY outcome_id
"""  # noqa: S608 - made of constants

NEWS: Final = {1: News.SEEN, 2: News.BOUGHT, 3: News.NOT_BOUGHT, 4: News.SOLD_OUT, 5: News.RETURNED}
"""By the contract's number."""
_NOT_BOUGHT: Final = 3


class _Exposure(NamedTuple):
    product_id: str
    variant_id: str
    market: str
    price_version: int
    exposure_id: str


class FoldOutcomes:
    """Folds what waits, some at a time; of several processes one does it at a time.

    Args:
        database: Where outcomes are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def step(self) -> bool:
        """Fold some outcomes in; return whether there were any.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._database.transaction() as connection:
            row = await (await connection.execute(_ALONE)).fetchone()
            if row is None or not row[0]:
                return False
            taken = await (await connection.execute(_TAKE, [_AT_ONCE])).fetchall()
            teaching = [row for row in taken if not is_personal(row[_EXPOSURE_AT])]
            if teaching:
                await _fold(connection, teaching)
            if taken:
                failpoint("pricing.learn.folded")
        return bool(taken)


async def _fold(connection: Connection, taken: Sequence[Sequence[Any]]) -> None:
    names = sorted({_Exposure(*row[:5]) for row in taken})
    rows = await (await connection.execute(_KNOWN, _columns(names))).fetchall()
    known = {_Exposure(*row[:5]): (Heard(News(row[5]), row[6]), row[7]) for row in rows}
    added: dict[tuple[Key, int], Count] = {}
    for *name, kind, outcome_id, occurred_us in taken:
        exposure = _Exposure(*name)
        before, heard_us = known.get(exposure, (None, occurred_us))
        after, more = change(before, heard_of(kind, outcome_id))
        known[exposure] = after, min(heard_us, occurred_us)
        place = Key(*exposure[:3]), exposure.price_version
        added[place] = _sum(added.get(place, NOTHING), more)
    heard = [(*name, known[name][0].news.value, known[name][0].reported, known[name][1]) for name in names]
    await connection.execute(_HEAR, _columns(heard))
    counts = [(*key, version, *count) for (key, version), count in sorted(added.items())]
    await connection.execute(_COUNT, _columns(counts))
    await connection.execute(_STIR, _columns(sorted({key for key, _ in added})))


def heard_of(kind: int, outcome_id: str) -> Heard:
    """Return what an outcome says of its exposure; a redemption alone is no report of it."""
    return Heard(NEWS[kind], not outcome_id.startswith(OWN))


async def lapse(connection: Connection, key: Key, before_us: int, now_us: int) -> int | None:
    """Report who saw a price of a listing too long ago as not having bought; return when the next one is due.

    Args:
        connection: The transaction.
        key: The listing.
        before_us: Who saw it before then had enough time.
        now_us: Now.

    Returns:
        When the oldest of those that are left saw the price; None if nobody is left.
    """
    rows = await (await connection.execute(_PENDING, (*key, _AT_ONCE))).fetchall()
    over = [row for row in rows if row[2] < before_us]
    if over:
        lapsed = [_lapsed(key, version, exposure_id, now_us) for version, exposure_id, _ in over]
        await redemptions.report(connection, lapsed, moment_of(now_us))
    return rows[len(over)][2] if len(rows) > len(over) else None


def _lapsed(key: Key, version: int, exposure_id: str, now_us: int) -> tuple[object, ...]:
    named = hashlib.sha256("/".join((*key, str(version), exposure_id)).encode()).hexdigest()
    return f"{OWN}lapsed/{named}", exposure_id, *key, version, _NOT_BOUGHT, 0, "", now_us


async def folded_again(connection: Connection, key: Key, price_versions: Sequence[int]) -> Mapping[int, Count]:
    """Return counts of price versions made anew from every outcome that was ever folded in, in another order."""
    rows = await (await connection.execute(_ALL, (*key, list(price_versions)))).fetchall()
    known: dict[tuple[int, str], Heard] = {}
    counts: dict[int, Count] = {}
    for version, exposure_id, kind, outcome_id in rows:
        if is_personal(exposure_id):
            continue
        place = version, exposure_id
        known[place], more = change(known.get(place), heard_of(kind, outcome_id))
        counts[version] = _sum(counts.get(version, NOTHING), more)
    return counts


def _sum(one: Count, other: Count) -> Count:
    return Count(one.shown + other.shown, one.sold + other.sold, one.pending + other.pending)


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
