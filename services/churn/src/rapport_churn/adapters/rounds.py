"""What was told of customers, in PostgreSQL: `Rounds`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import Event
from rapport_chassis.failpoints import failpoint
from rapport_chassis.telemetry.metrics import Counter
from rapport_chassis.telemetry.propagation import parse_traceparent
from rapport_chassis.telemetry.tracing import Span, Tracer
from rapport_privacy.participant.living import writable

from rapport_churn.adapters import head, journal
from rapport_churn.app.rescoring import Clearance, Round, Telling, Told
from rapport_churn.app.scores import Kept
from rapport_churn.domain.risk import RiskLevel
from rapport_churn.telemetry import SCORE_AGAIN, SCORED
from rapport_churn.translate import events
from rapport_churn.translate.scores import Scores, kept_of

_HEARD_AT_ONCE: Final = 1000

_HEARD_ALL: Final = """
SELECT (rescoring.epoch, rescoring.position) = (log_head.epoch, log_head.position) FROM rescoring, log_head
"""
_CURSOR: Final = "SELECT epoch, position FROM rescoring FOR UPDATE"
_MOVE: Final = "UPDATE rescoring SET epoch = %s, position = %s"
_HEARD: Final = """
SELECT DISTINCT ON (id) id, traceparent FROM (
    SELECT profile_id AS id, position, traceparent FROM facts WHERE position > %(after)s AND position <= %(upto)s
    UNION ALL
    SELECT unnest(moved_from), position, traceparent FROM facts WHERE position > %(after)s AND position <= %(upto)s
) AS heard ORDER BY id, traceparent IS NULL, position DESC
"""
_TURN_TO: Final = """
INSERT INTO scores (
    profile_id, version, risk_version, risk, segment, tier, model_id, scored_at, rescore_at, traceparent
)
SELECT id, 0, 0, 0, '', '', '', %(now)s, %(now)s, traceparent
FROM unnest(%(ids)s::text[], %(traceparents)s::text[]) AS named (id, traceparent) WHERE id <> '' ORDER BY id
ON CONFLICT (profile_id) DO UPDATE SET rescore_at = excluded.rescore_at,
    traceparent = coalesce(excluded.traceparent, scores.traceparent)
"""
_TOLD: Final = "profile_id, version, risk_version, risk, churn, segment, tier, model_id"
_DUE: Final = """
SELECT profile_id FROM (
    (SELECT profile_id FROM scores WHERE rescore_at <= %(now)s ORDER BY rescore_at LIMIT %(limit)s)
    UNION ALL
    (SELECT profile_id FROM scores WHERE model_id < %(model)s AND body IS NOT NULL LIMIT %(limit)s)
    UNION ALL
    (SELECT profile_id FROM scores WHERE model_id > %(model)s AND body IS NOT NULL LIMIT %(limit)s)
) AS due LIMIT %(limit)s
"""
# A row that another process holds is looked after there.
_ROUND: Final = f"""
SELECT traceparent, {_TOLD} FROM scores
WHERE profile_id = ANY (%(ids)s) AND (rescore_at <= %(now)s OR (body IS NOT NULL AND model_id <> %(model)s))
ORDER BY profile_id FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - made of constants
# A statement for all of a round.
_TELL: Final = """
UPDATE scores SET version = told.version, risk_version = told.risk_version, risk = told.risk, churn = told.churn,
    value = told.value, at_stake = told.at_stake, segment = told.segment, tier = told.tier, model_id = told.model_id,
    scored_at = told.scored_at, rescore_at = told.rescore_at, body = told.body, traceparent = NULL
FROM unnest(
    %s::text[], %s::bigint[], %s::bigint[], %s::smallint[], %s::float8[], %s::bigint[], %s::float8[], %s::text[],
    %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::bytea[]
) AS told (
    profile_id, version, risk_version, risk, churn, value, at_stake, segment, tier, model_id, scored_at, rescore_at,
    body
)
WHERE scores.profile_id = told.profile_id
"""
_LATER: Final = """
UPDATE scores SET rescore_at = told.rescore_at, traceparent = NULL
FROM unnest(%s::text[], %s::timestamptz[]) AS told (profile_id, rescore_at)
WHERE scores.profile_id = told.profile_id
"""
_VOID: Final = """
UPDATE scores SET risk_version = told.risk_version, risk = 0, churn = NULL, value = NULL, at_stake = NULL, segment = '',
    tier = '', model_id = '', rescore_at = told.rescore_at, body = NULL, traceparent = NULL
FROM unnest(%s::text[], %s::bigint[], %s::timestamptz[]) AS told (profile_id, risk_version, rescore_at)
WHERE scores.profile_id = told.profile_id
"""
_CLEARANCES: Final = {
    Clearance.RECOVERED: events.RECOVERED,
    Clearance.CHURNED: events.CHURNED,
    Clearance.OUT_OF_POPULATION: events.OUT_OF_POPULATION,
}


class DatabaseRounds:
    """`Rounds`.

    Args:
        database: Where it is.
        scores: Makes messages of scores.
        counter: Counts what is told.
        tracer: Records rounds.
    """

    def __init__(self, database: Database, scores: Scores, counter: Counter, tracer: Tracer) -> None:
        self._database = database
        self._scores = scores
        self._counter = counter
        self._tracer = tracer

    async def hear(self, now: datetime) -> bool:
        """Have those scored of whom something new was entered into the log."""
        async with self._database.looking() as connection:
            if await (await connection.execute(_HEARD_ALL)).fetchone() == (True,):
                return False
        async with self._database.transaction() as connection:
            row = await (await connection.execute(_CURSOR)).fetchone()
            assert row is not None
            at = await head.read(connection)
            after = row[1] if row[0] == at.epoch else 0
            upto = min(at.position, after + _HEARD_AT_ONCE)
            if row[0] == at.epoch and upto <= after:
                return False
            heard = dict(await (await connection.execute(_HEARD, {"after": after, "upto": upto})).fetchall())
            living = sorted(await writable(connection, heard))
            traceparents = [heard[each] for each in living]
            await connection.execute(_TURN_TO, {"ids": living, "traceparents": traceparents, "now": now})
            await connection.execute(_MOVE, (at.epoch, upto))
        return True

    @asynccontextmanager
    async def round(self, model_id: str, now: datetime, limit: int) -> AsyncIterator[Round]:
        """Give some who are due, or whose score is another model's."""
        async with self._database.transaction() as connection:
            values = {"model": model_id, "now": now, "limit": limit}
            found = {row[0] for row in await (await connection.execute(_DUE, values)).fetchall()}
            # Before rows are held: an erasure waits for this round, or came before it.
            ids = sorted(await writable(connection, found))
            cursor = await connection.execute(_ROUND, values | {"ids": ids})
            rows = await cursor.fetchall()
            due = [Told._make((*row[1:4], RiskLevel(row[4]), *row[5:])) for row in rows]
            with self._span([row[0] for row in rows]) if due else nullcontext():
                yield _DatabaseRound(connection, due, self._scores, self._counter)
            failpoint("churn.told")

    def _span(self, traceparents: Sequence[str | None]) -> Span:
        """The span of a round: linked to those that entered what was heard, not part of them."""
        links = [parse_traceparent(each) for each in dict.fromkeys(traceparents) if each is not None]
        return self._tracer.span(
            SCORE_AGAIN,
            links=[each for each in links if each is not None],
            attributes={SCORED: len(traceparents)},
        )


@dataclass(frozen=True)
class _DatabaseRound:
    connection: Connection
    due: Sequence[Told]
    scores: Scores
    counter: Counter

    async def tell(self, tellings: Sequence[Telling]) -> None:
        """Write what becomes of them, with the events that tell of it."""
        told = _Told()
        for each in tellings:
            self._tell(each, told)
        for statement, rows in ((_TELL, told.scores), (_LATER, told.later), (_VOID, told.void)):
            if rows:
                await self.connection.execute(statement, [list(column) for column in zip(*rows, strict=True)])
        await journal.write(self.connection, told.kept)
        await outbox.append(self.connection, told.events)
        for event in told.events:
            self.counter.of(event.type.rpartition(".")[2]).add()

    async def turn_to(self, profile_ids: Sequence[str], now: datetime) -> None:
        """Have others scored at the next round."""
        ids = sorted(set(profile_ids))
        values = {"ids": ids, "traceparents": [None] * len(ids), "now": now}
        await self.connection.execute(_TURN_TO, values)

    def _tell(self, telling: Telling, told: _Told) -> None:
        before, scored = telling.told, telling.scored
        changes_risk = telling.raised or telling.clearance is not None
        risk_version = before.risk_version + int(changes_risk)
        if telling.clearance is not None:
            at = scored.at if scored is not None else telling.at
            told.events.append(events.risk_cleared(before.profile_id, risk_version, _CLEARANCES[telling.clearance], at))
        if telling.void:
            told.void.append((before.profile_id, risk_version, telling.rescore_at))
            return
        if scored is None:
            told.later.append((before.profile_id, telling.rescore_at))
            return
        message = self.scores.message(scored)
        kept = kept_of(scored, message)
        told.kept.append(kept)
        if telling.shadow is not None:
            told.kept.append(kept_of(telling.shadow, self.scores.message(telling.shadow)))
        version = before.version + int(telling.material)
        if telling.material:
            told.events.append(events.score_updated(message, version, scored.at))
        if telling.raised:
            told.events.append(events.risk_raised(message, int(telling.risk), risk_version, scored.at))
        score = scored.score
        churn = score.churn[scored.serving.scoring.horizon_days]
        worth = round(score.value.mean) if score.value is not None else 0
        figures = (version, risk_version, int(telling.risk), churn, worth, churn * worth, score.segment, score.tier)
        rest = (scored.serving.model_id, scored.at, telling.rescore_at, kept.body)
        told.scores.append((before.profile_id, *figures, *rest))


@dataclass
class _Told:
    """What becomes of the tellings of a round: rows of each statement, decisions and events."""

    scores: list[tuple[object, ...]] = field(default_factory=list)
    later: list[tuple[object, ...]] = field(default_factory=list)
    void: list[tuple[object, ...]] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
