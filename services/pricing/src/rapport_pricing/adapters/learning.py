"""What is learned in PostgreSQL: counts, turns, learners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from rapport.pricing.v1 import quote_pb2
from rapport_chassis.database.pool import Connection

from rapport_pricing.adapters.folding import folded_again, lapse
from rapport_pricing.app.learned import Learner, Turn
from rapport_pricing.app.stored import Key
from rapport_pricing.app.times import moment_of
from rapport_pricing.domain.demand import Floats, Level
from rapport_pricing.domain.outcomes import Count, Fold, News, Outcome
from rapport_pricing.domain.steering import Mode, Steering
from rapport_pricing.domain.teaching import Lesson

_KEY: Final = "product_id, variant_id, market"
_LEARNER: Final = (
    "mode, pinned, incident, anchor, prior, level_mean, level_deviation, level_free, start_cell, since_turn, turn,"
    " target, settled, run_out, binding, stuck, decided_us"
)
_TURN: Final = (
    "turn, price_version, cell, price, expected, variance, explores, base_shown, base_sold, base_pending, at_us"
)
_FIND: Final = f"SELECT {_LEARNER} FROM learners WHERE ({_KEY}) = (%s, %s, %s)"  # noqa: S608 - made of constants
_HOLD: Final = f"{_FIND} FOR UPDATE"
_NEXT: Final = f"""
SELECT {_KEY} FROM learners WHERE stirred OR wake_us <= %s ORDER BY decided_us LIMIT 1
"""  # noqa: S608 - made of constants
_REST: Final = f"UPDATE learners SET stirred = false, wake_us = %s WHERE ({_KEY}) = (%s, %s, %s)"  # noqa: S608 - constants
_STUCK: Final = f"""
UPDATE learners SET stirred = false, wake_us = NULL, stuck = %s, decided_us = %s WHERE ({_KEY}) = (%s, %s, %s)
"""  # noqa: S608 - made of constants
_STEER: Final = f"""
INSERT INTO learners ({_KEY}, mode, pinned, incident) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT ({_KEY}) DO UPDATE
SET mode = excluded.mode, pinned = excluded.pinned, incident = excluded.incident, stirred = true
"""  # noqa: S608 - made of constants
_KEEP: Final = f"""
UPDATE learners SET (
    anchor, prior, level_mean, level_deviation, level_free, start_cell, since_turn, turn, target, settled, run_out,
    binding, stuck, decided_us
) = (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) WHERE ({_KEY}) = (%s, %s, %s)
"""  # noqa: S608 - made of constants
_TEACH: Final = f"""
UPDATE learners SET weights = %s, anchored = %s, cost_share = %s WHERE ({_KEY}) = (%s, %s, %s)
"""  # noqa: S608 - made of constants
_OTHERS: Final = f"""
SELECT weights, anchored, cost_share FROM learners
WHERE market = %s AND cost_share IS NOT NULL AND turn >= %s AND ({_KEY}) <> (%s, %s, %s)
ORDER BY {_KEY} LIMIT 100
"""  # noqa: S608 - made of constants
_TURNS: Final = f"""
SELECT {_TURN} FROM learned_turns WHERE ({_KEY}) = (%s, %s, %s) AND turn >= %s ORDER BY turn
"""  # noqa: S608 - made of constants
_ADD: Final = f"""
INSERT INTO learned_turns ({_KEY}, {_TURN}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""  # noqa: S608 - made of constants
_COUNTS: Final = f"""
SELECT price_version, shown, sold, pending FROM version_counts
WHERE ({_KEY}) = (%s, %s, %s) AND price_version = ANY (%s)
"""  # noqa: S608 - made of constants
# A quote is shown soon after it is made, or not at all.
_QUOTED: Final = f"""
SELECT price_version, news, body FROM exposures JOIN decisions ON decisions.quote_id = exposures.exposure_id
WHERE ({_KEY}) = (%s, %s, %s) AND reported AND heard_us >= %s AND profile_id <> '' AND body IS NOT NULL
    AND issued_at >= %s
"""  # noqa: S608 - made of constants
_QUOTED_BEFORE_US: Final = 86_400_000_000
_WAITING: Final = "SELECT count(*) FROM waiting_outcomes"
_LEAST_TURNS: Final = 10
"""Another product teaches something once so many turns were taken."""


class LearningUnit:
    """`Ledger`.

    Args:
        connection: The transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def next(self, now_us: int) -> Key | None:
        """Return the listing that waits longest to be looked at; None if none waits."""
        row = await (await self._connection.execute(_NEXT, [now_us])).fetchone()
        return None if row is None else Key(*row)

    async def learner(self, key: Key, *, hold: bool = False) -> Learner | None:
        """Return where learning stands; None if nothing was ever heard of the listing."""
        row = await (await self._connection.execute((_HOLD if hold else _FIND).encode(), key)).fetchone()
        if row is None:
            return None
        mode, pinned, incident, anchor, prior, mean, deviation, free, *rest = row
        steering = Steering(Mode(mode), pinned, incident)
        known = prior is not None
        level = Level(mean, deviation, free) if known else Level()
        return Learner(steering, anchor, _floats(prior) if known else None, level, *rest)

    async def rest(self, key: Key, wake_us: int | None) -> None:
        """Say that a listing was looked at, and when it is to be looked at again though nothing happens."""
        await self._connection.execute(_REST, (wake_us, *key))

    async def lapse(self, key: Key, before_us: int, now_us: int) -> int | None:
        """Report who saw the price before a time as not having bought; return when the next of the others saw it."""
        return await lapse(self._connection, key, before_us, now_us)

    async def stuck(self, key: Key, reason: str, now_us: int) -> None:
        """Say why nothing could be decided."""
        await self._connection.execute(_STUCK, (reason, now_us, *key))

    async def steer(self, key: Key, steering: Steering) -> None:
        """Say who decides."""
        await self._connection.execute(_STEER, (*key, steering.mode.value, steering.pinned, steering.incident))

    async def waiting(self) -> int:
        """Return how many outcomes are not folded in yet."""
        row = await (await self._connection.execute(_WAITING)).fetchone()
        return row[0] if row is not None else 0

    async def folded_again(self, key: Key, price_versions: Sequence[int]) -> Mapping[int, Count]:
        """Return counts made anew from every outcome, in another order."""
        return await folded_again(self._connection, key, price_versions)

    async def turns(self, key: Key, since_turn: int) -> list[Turn]:
        """Return the turns from one on, in order."""
        rows = await (await self._connection.execute(_TURNS, (*key, since_turn))).fetchall()
        return [Turn._make((*row[:7], Count(*row[7:10]), row[10])) for row in rows]

    async def counts(self, key: Key, price_versions: Sequence[int]) -> Mapping[int, Count]:
        """Return what price versions have to show; one that is missing has nothing."""
        rows = await (await self._connection.execute(_COUNTS, (*key, list(price_versions)))).fetchall()
        return {row[0]: Count(*row[1:]) for row in rows}

    async def personal_visits(self, key: Key, since_us: int) -> dict[int, Count]:
        """Return what visits since a time, that saw a personal price by the journal, added to price versions."""
        fold = Fold()
        values = (*key, since_us, moment_of(since_us - _QUOTED_BEFORE_US))
        async with self._connection.cursor() as cursor:
            await cursor.execute(_QUOTED.encode(), values)
            at = 0
            async for price_version, news, body in cursor:
                if quote_pb2.Quote.FromString(body).personalised:
                    fold.hear([Outcome(str(at), price_version, News(news))])
                    at += 1
        return fold.counts

    async def others(self, key: Key) -> list[Lesson]:
        """Return what other products in the market were found to be like."""
        rows = await (await self._connection.execute(_OTHERS, (key.market, _LEAST_TURNS, *key))).fetchall()
        return [Lesson(_floats(weights), *rest) for weights, *rest in rows]

    async def add(self, key: Key, turn: Turn) -> None:
        """Add a turn."""
        await self._connection.execute(_ADD, (*key, *turn[:7], *turn.base, turn.at_us))

    async def keep(self, key: Key, learner: Learner, taught: Lesson | None) -> None:
        """Replace what is kept of a learner, but not who decides."""
        assert learner.prior is not None
        level = learner.level
        rest = learner[4:]
        values = (learner.anchor, _bytes(learner.prior), level.mean, level.deviation, level.free, *rest, *key)
        await self._connection.execute(_KEEP, values)
        if taught is not None:
            lesson = _bytes(taught.weights), taught.free, taught.cost_share
            await self._connection.execute(_TEACH, (*lesson, *key))


def _floats(stored: Any) -> Floats:
    return np.frombuffer(stored, dtype="<f8").astype(np.float64)


def _bytes(values: Floats) -> bytes:
    return values.astype("<f8").tobytes()
