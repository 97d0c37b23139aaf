"""What every service has of a person, whatever it is for: what it published, and the answers it keeps to give again."""

from __future__ import annotations

from typing import Final

from rapport_chassis.database.pool import Connection

from rapport_privacy.participant.holding import Answer, Kept, StoreCount, Subject

EVENTS: Final = "events"
"""The store of what was published, or is about to be."""

ANSWERS: Final = "answers"
"""The store of the answers that are given again when a request is repeated, for a day."""

# Of an event that waits here and was published all the same, only one is counted.
_EVENTS: Final = """
SELECT count(DISTINCT event_id) FROM (
    SELECT event_id FROM published WHERE profile_ids && %(ids)s
    UNION ALL SELECT event_id FROM outbox WHERE profile_ids && %(ids)s
) AS about
"""
_NAMING: Final = """
FROM requests WHERE EXISTS (
    SELECT FROM unnest(%(ids)s::text[]) AS id WHERE position(convert_to(id, 'UTF8') IN requests.answer) > 0
)
"""
_COUNT_ANSWERS: Final = f"SELECT count(*) {_NAMING}"
_ERASE_ANSWERS: Final = f"DELETE {_NAMING}"


async def count(connection: Connection, subject: Subject) -> Answer:
    """Say how much there is."""
    return Answer(
        (
            StoreCount(EVENTS, await _number(connection, _EVENTS, subject)),
            StoreCount(ANSWERS, await _number(connection, _COUNT_ANSWERS, subject)),
        )
    )


async def erase(connection: Connection, subject: Subject) -> Answer:
    """Delete the answers, and say how many events are to be deleted from the stream once this is committed."""
    events = await _number(connection, _EVENTS, subject)
    answers = (await connection.execute(_ERASE_ANSWERS, {"ids": subject.ids})).rowcount
    held = subject.held_in(EVENTS)
    kept = (Kept(EVENTS, events, held.ground, held.until),) if held.everything and events else ()
    return Answer((StoreCount(EVENTS, events, 0 if kept else events), StoreCount(ANSWERS, answers, answers)), kept)


async def _number(connection: Connection, statement: str, subject: Subject) -> int:
    row = await (await connection.execute(statement, {"ids": subject.ids})).fetchone()
    assert row is not None
    return int(row[0])
