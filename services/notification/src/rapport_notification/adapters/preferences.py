"""What people want and where they say to live, in PostgreSQL; rows keep the id that was named."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from rapport_chassis.database.pool import Connection

from rapport_notification.domain.preferences import Person, Wish, merged
from rapport_notification.domain.vocabulary import Channel

_WISHES: Final = "SELECT profile_id, category, channel, wanted, set_us FROM preferences WHERE profile_id = ANY (%s)"
_PEOPLE: Final = "SELECT profile_id, version, zone, country, place_us FROM people WHERE profile_id = ANY (%s)"
# What was said later stays, whatever comes first.
_SET: Final = """
INSERT INTO preferences (profile_id, category, channel, wanted, set_us) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (profile_id, category, channel) DO UPDATE SET wanted = excluded.wanted, set_us = excluded.set_us
WHERE preferences.set_us <= excluded.set_us
"""
_CHANGED: Final = """
INSERT INTO people (profile_id, version, zone, country, place_us) VALUES (%s, 1, '', '', 0)
ON CONFLICT (profile_id) DO UPDATE SET version = people.version + 1
"""
_PLACE: Final = "UPDATE people SET zone = %s, country = %s, place_us = %s WHERE profile_id = %s AND place_us <= %s"


async def persons(connection: Connection, closures: Iterable[Sequence[str]]) -> dict[str, Person]:
    """Return what people want, by the first id of each; of who was thought to be two, what was said last.

    Args:
        connection: A transaction.
        closures: Every id of each person, the current one first.
    """
    closures = [tuple(each) for each in closures]
    ids = sorted({each for ids in closures for each in ids})
    wishes: dict[str, list[Wish]] = {}
    for profile_id, category, channel, wanted, set_us in await (await connection.execute(_WISHES, (ids,))).fetchall():
        row = Wish(category, Channel(channel) if channel else None, wanted, set_us)
        wishes.setdefault(profile_id, []).append(row)
    people = {row[0]: row[1:] for row in await (await connection.execute(_PEOPLE, (ids,))).fetchall()}
    return {of[0]: _person(of, wishes, people) for of in closures}


async def set_wishes(
    connection: Connection, profile_id: str, wishes: Collection[Wish], place: tuple[str, str] | None, now_us: int
) -> None:
    """Keep what a person says.

    Args:
        connection: A transaction.
        profile_id: The id that was named.
        wishes: What is said; what is not named stays.
        place: Where the person says to live, two empty texts to take it back; None: as it was.
        now_us: The time.
    """
    await connection.execute(_CHANGED, (profile_id,))
    async with connection.cursor() as cursor:
        await cursor.executemany(
            _SET, [(profile_id, each.category, int(each.channel or 0), each.wanted, each.set_us) for each in wishes]
        )
    if place is not None:
        await connection.execute(_PLACE, (*place, now_us, profile_id, now_us))


def _person(
    ids: Sequence[str], wishes: Mapping[str, list[Wish]], people: Mapping[str, tuple[int, str, str, int]]
) -> Person:
    known: tuple[Wish, ...] = ()
    for each in ids:
        known = merged(known, wishes.get(each, ()))
    rows = [people[each] for each in ids if each in people]
    places = sorted(((at, zone, country) for _, zone, country, at in rows if at), reverse=True)
    place = places[0][1:] if places and any(places[0][1:]) else None
    return Person(known, place, sum(row[0] for row in rows))
