"""What dispatching asks of what came back: who has unsubscribed by now, and how people have used channels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection

from rapport_notification.app.sending import Case
from rapport_notification.app.times import micros_of
from rapport_notification.domain.routing import Past
from rapport_notification.domain.vocabulary import DAY_US, SECOND_US, Channel

_YEAR_US: Final = 365 * DAY_US
_KNOWN_AFTER: Final = "10 seconds"
"""Longer than a gate may lag behind the ledger: what was recorded just now is not left to it."""
_OPEN: Final = f"""
SELECT profile_id, purpose_ids, brand_id FROM unsubscribes
WHERE profile_id = ANY(%s) AND (
    state = 'open' OR (
        state = 'recorded' AND next_us > extract(epoch FROM now() - interval '{_KNOWN_AFTER}') * 1000000
    )
)
"""  # noqa: S608 - made of constants
_PASTS: Final = """
SELECT sent.recipient_id, sent.channel, count(*), count(first.at_us), coalesce(sum(first.at_us - sent.begun_us), 0)
FROM notifications AS sent LEFT JOIN LATERAL (
    SELECT min(at_us) AS at_us FROM engagements
    WHERE engagements.notification_id = sent.notification_id AND told = 1 AND looks = 1
) AS first ON true
WHERE sent.recipient_id = ANY(%s) AND sent.state IN (4, 6) AND sent.begun_us > %s
GROUP BY sent.recipient_id, sent.channel
"""


async def unsubscribed(connection: Connection, cases: Sequence[Case]) -> set[str]:
    """Return of which messages the recipient has said no, where the ledger may not know it yet.

    Args:
        connection: The transaction that writes the intents.
        cases: The messages, each with a channel.
    """
    ids = sorted({each for case in cases for each in case.ids if not case.stored.to_request})
    wishes = defaultdict(list)
    for profile_id, purpose_ids, brand_id in await (await connection.execute(_OPEN, (ids,))).fetchall():
        wishes[profile_id].append((purpose_ids, brand_id))
    if not wishes:
        return set()
    return {case.stored.notification_id for case in cases if _refused(case, wishes)}


def _refused(case: Case, wishes: Mapping[str, Sequence[tuple[Sequence[str], str]]]) -> bool:
    stored = case.stored
    purpose_id = stored.purpose_of(case.channel) if case.channel is not None else stored.ask.purpose_id
    return any(
        (not purpose_ids or purpose_id in purpose_ids) and brand_id in ("", stored.ask.brand_id)
        for profile_id in case.ids
        for purpose_ids, brand_id in wishes.get(profile_id, ())
    )


class Pasts:
    """How people have used channels in the last year.

    Args:
        clock: The time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(
        self, connection: Connection, closures: Mapping[str, tuple[str, ...]]
    ) -> dict[str, dict[Channel, Past]]:
        """Return it by the current id, of which the other ids are given."""
        owner = {each: current for current, ids in closures.items() for each in (current, *ids)}
        cursor = await connection.execute(_PASTS, (sorted(owner), micros_of(self._clock.now()) - _YEAR_US))
        found: dict[str, dict[Channel, Past]] = defaultdict(dict)
        for recipient, channel, sent, responses, took_us in await cursor.fetchall():
            if not channel:
                continue
            mine = found[owner[recipient]]
            known = mine.get(Channel(channel), Past())
            mine[Channel(channel)] = Past(
                known.sent + sent,
                known.responses + responses,
                known.response_s + float(max(took_us, 0)) / SECOND_US,
            )
        return dict(found)
