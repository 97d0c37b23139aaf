"""A log of a shop that does not exist: people of unlike rhythm who look more often than they buy, as many as needed."""

from __future__ import annotations

from typing import Final

from rapport_churn.domain.facts import DAY, FactKind
from rapport_churn.training.log import EventLog

START: Final = 15_000 * DAY
DAYS: Final = 730
EVENTS_EACH: Final = 50

# A person is active from a day of their own to another, so that some leave; each seventh fact arrives days late.
_FACTS: Final = f"""
INSERT INTO issues BY NAME
WITH drawn AS (
    SELECT i, hash(i * 8 + 1) AS a, hash(i * 8 + 2) AS b, hash(i * 8 + 3) AS c, hash(i * 8 + 4) AS d,
        (hash(i * 8 + 5) % $people)::BIGINT AS person
    FROM range($events) AS drawn (i)
), lived AS (
    SELECT *, hash(person * 8 + 6) % 400 AS began, 30 + hash(person * 8 + 7) % 700 AS lasted, b % 100 AS draw FROM drawn
), placed AS (
    SELECT *, {START} + least(began + a % lasted, {DAYS - 1})::BIGINT * {DAY} + (c % {DAY})::BIGINT AS occurred_at
    FROM lived
)
SELECT printf('evt_%022d', i) AS fact_id, printf('prf_%022d', person) AS profile_id, 1 AS owner_version, occurred_at,
    occurred_at + CASE WHEN d % 7 = 0 THEN d % {5 * DAY} ELSE 0 END::BIGINT AS arrived_at,
    CASE WHEN draw < 10 THEN {FactKind.ORDER:d} WHEN draw < 12 THEN {FactKind.RETURNED:d}
        WHEN draw < 55 THEN {FactKind.VIEWED:d} WHEN draw < 62 THEN {FactKind.SEARCHED:d}
        WHEN draw < 70 THEN {FactKind.CART_CHANGED:d} WHEN draw < 84 THEN {FactKind.MESSAGE_DELIVERED:d}
        WHEN draw < 90 THEN {FactKind.MESSAGE_OPENED:d} ELSE 1 + c % {max(FactKind)} END AS kind,
    (500 + d % 20_000)::BIGINT AS value, 1 + a % 5 AS quantity, 1 + d % 13 AS channel
FROM placed
"""  # noqa: S608 - made of constants


def fill(log: EventLog, events: int) -> None:
    """Add so many facts to a log that is not settled yet: about fifty a person, over two years."""
    log.connection.execute(_FACTS, {"events": events, "people": max(events // EVENTS_EACH, 1)})
