"""What identity holds of people, as privacy requests see it: frozen, copied, erased with its keys, and kept away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from rapport.identity.v1 import events_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import event_of
from rapport_chassis.failpoints import failpoint
from rapport_chassis.signing import SigningKeys
from rapport_chassis.times import stamp
from rapport_privacy.participant.holding import Answer, Exported, Holding, Kept, Store, StoreCount, Subject
from rapport_privacy.participant.living import STILL

from rapport_identity.adapters import constraints, facts, held_records, moves, parked, privacy_export, profiles
from rapport_identity.adapters.head import Head
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.partition import PartitionStore, PartitionUnit
from rapport_identity.adapters.privacy_export import RECORDS, REVIEWS, STORES, TOUCHPOINTS
from rapport_identity.adapters.suppressions import Suppressions
from rapport_identity.app.stored import Move, MoveKind
from rapport_identity.translate.events import SOURCE
from rapport_identity.translate.records import found_by, identifiers_in

KEYS: Final = "record_keys"
"""The store of the keys that records are encrypted with."""

ERASURE: Final = "erasure"
"""The cause of moves by which records leave their profiles for ever."""

_CHUNK: Final = 1000
_COUNTS: Final = """
WITH mine AS (SELECT record_no, key_id FROM records WHERE profile_id = ANY (%(ids)s) AND NOT erased)
SELECT (SELECT count(*) FROM mine),
    (SELECT count(key_id) FROM mine),
    (SELECT count(*) FROM facts WHERE record_no IN (SELECT record_no FROM records WHERE profile_id = ANY (%(ids)s))),
    (SELECT count(*) FROM profiles WHERE profile_id = ANY (%(ids)s) AND status IN ('active', 'frozen')),
    (SELECT count(*) FROM constrained_records JOIN mine USING (record_no)),
    (SELECT count(*) FROM reviews WHERE EXISTS (SELECT FROM mine WHERE record_no IN (first_no, second_no))),
    (SELECT count(*) FROM anniversaries JOIN mine USING (record_no)),
    (SELECT count(*) FROM identifiers JOIN mine USING (record_no))
"""
_COUNTED: Final = (RECORDS, KEYS, TOUCHPOINTS, "profiles", "steward_decisions", REVIEWS, "anniversaries", "identifiers")
_FREEZE: Final = """
UPDATE profiles SET status = 'frozen', position = %s WHERE profile_id = ANY (%s) AND status = 'active'
"""
# What another request holds still stays so.
_THAW: Final = """
UPDATE profiles SET status = 'active', position = %s WHERE profile_id = ANY (%s) AND status = 'frozen' AND NOT EXISTS (
    SELECT FROM privacy_freezes AS other
    WHERE other.profile_id = profiles.profile_id AND other.request_id <> %s)
RETURNING profile_id
"""
# Nobody but the person's is whose every record was kept out by the person's profile.
_ALONE: Final = """
SELECT DISTINCT profile_id FROM records WHERE record_no = ANY (%(numbers)s) AND NOT EXISTS (
    SELECT FROM records AS other WHERE other.profile_id = records.profile_id AND NOT other.erased
        AND other.record_no <> ALL (%(numbers)s))
"""
_NUMBERS: Final = """
SELECT record_no, record_id, profile_id FROM records WHERE profile_id = ANY (%s) AND NOT erased ORDER BY record_no
"""
_DOOM: Final = "INSERT INTO doomed_keys (key_id, request_id) SELECT unnest(%b::bytea[]), %s ON CONFLICT DO NOTHING"
_DOOMED: Final = "SELECT key_id FROM doomed_keys WHERE request_id = %s ORDER BY key_id"
_DESTROYED: Final = "DELETE FROM doomed_keys WHERE key_id = ANY (%b::bytea[])"
_FORGET_REVIEWS: Final = "DELETE FROM reviews WHERE first_no = ANY (%(numbers)s) OR second_no = ANY (%(numbers)s)"
_EXPIRE: Final = f"""
DELETE FROM facts WHERE fact_id IN (
    SELECT fact_id FROM facts WHERE recorded_at < %s AND NOT ({STILL.format(profile_id="facts.profile_id")})
    ORDER BY recorded_at LIMIT %s)
"""  # noqa: S608 - made of constants
_UNPARK: Final = "DELETE FROM parked_records WHERE profile_id = ANY (%s)"
_ERASE_PROFILES: Final = """
UPDATE profiles SET status = 'erased', version = version + 1, state = '', position = %s, updated_at = %s
WHERE profile_id = ANY (%s) AND status IN ('active', 'frozen') RETURNING profile_id, version
"""
_BLANK: Final = "UPDATE profiles SET state = '' WHERE profile_id = ANY (%s) AND status = 'merged'"


@dataclass(frozen=True, slots=True)
class _Standing:
    """The profiles that stand for a person, and every id that redirects to one of them, their own too."""

    profile_ids: tuple[str, ...]
    closure: tuple[str, ...]


class IdentityHolding(Holding):
    """The `Holding` of identity.

    Args:
        database: Where the partition is.
        store: Opens transactions on it.
        keys: The key store.
        suppressions: Takes down what must not come back.
        signing: What the destruction of keys is signed with.
        clock: The time.
        touchpoints_kept_for: For how long touchpoints are kept.
    """

    def __init__(
        self,
        database: Database,
        store: PartitionStore,
        keys: PostgresKeyStore,
        suppressions: Suppressions,
        signing: SigningKeys,
        clock: Clock,
        touchpoints_kept_for: timedelta,
    ) -> None:
        self._database = database
        self._store = store
        self._keys = keys
        self._suppressions = suppressions
        self._signing = signing
        self._clock = clock
        self._kept_for = touchpoints_kept_for

    @property
    def stores(self) -> tuple[Store, ...]:
        """What identity keeps about people."""
        return tuple(replace(each, kept_for=self._kept_for) if each.name == TOUCHPOINTS else each for each in STORES)

    async def export(self, connection: Connection, subject: Subject) -> AsyncIterator[Exported]:
        """Yield all that is held, records in clear."""
        standing = await _standing(connection, subject.profile_ids)
        closure = {*standing.closure, *subject.profile_ids}
        async for each in privacy_export.export(connection, self._keys, standing.profile_ids, closure):
            yield each

    async def count(self, connection: Connection, subject: Subject) -> Answer:
        """Say what is held."""
        standing = await _standing(connection, subject.profile_ids)
        return Answer(await _counts(connection, standing.profile_ids))

    async def rectify(self, connection: Connection, subject: Subject) -> Answer:
        """Say what is held: a correction is a record, and all that follows from it was brought in line with it."""
        return await self.count(connection, subject)

    async def freeze(self, connection: Connection, subject: Subject) -> Answer:
        """Let the profiles neither gain nor lose a record, and name every id that redirects to them."""
        unit = self._store.unit_on(connection)
        head = await unit.lock(hold=True)
        standing = await _standing(connection, subject.profile_ids)
        await connection.execute(_FREEZE, (head.position + 1, list(standing.profile_ids)))
        await unit.advance(head)
        # An id that was never issued here is the person's all the same: others may hold something under it.
        closure = tuple(sorted({*standing.closure, *subject.profile_ids}))
        return Answer(await _counts(connection, standing.profile_ids), closure_ids=closure)

    async def release(self, connection: Connection, subject: Subject) -> Answer:
        """Let the profiles change again, and have what they kept out meanwhile be linked anew."""
        unit = self._store.unit_on(connection)
        head = await unit.lock(hold=True)
        standing = await _standing(connection, subject.profile_ids)
        values = (head.position + 1, list(standing.profile_ids), subject.request_id)
        thawed = [each for (each,) in await (await connection.execute(_THAW, values)).fetchall()]
        await parked.release(connection, thawed)
        await unit.advance(head)
        return Answer(await _counts(connection, standing.profile_ids))

    async def erase(self, connection: Connection, subject: Subject) -> Answer:
        """Delete all of the person, and remember under keyed hashes what must not come back."""
        unit = self._store.unit_on(connection)
        head = await unit.lock(hold=True)
        standing = await _standing(connection, subject.profile_ids)
        alone = await _alone(connection, standing.profile_ids)
        going = (*standing.profile_ids, *alone)
        before = await _counts(connection, going)
        rows = await (await connection.execute(_NUMBERS, (list(going),))).fetchall()
        held = subject.held_in(RECORDS)
        gone = {
            number: profile_id
            for number, record_id, profile_id in rows
            if not held.everything and record_id not in held.record_ids
        }
        await self._remember(connection, unit, head, list(gone))
        await self._forget(connection, unit, head, subject, gone, [number for number, *_ in rows])
        if len(gone) == len(rows):
            await _close(connection, head, subject, going)
        await unit.advance(head)
        failpoint("identity.erasing")
        after = {each.store: each.found for each in await _counts(connection, going)}
        stores = tuple(StoreCount(each.store, each.found, each.found - after[each.store]) for each in before)
        kept = tuple(
            Kept(each.store, each.found - each.acted, reason.ground, reason.until)
            for each in stores
            if each.store in (RECORDS, TOUCHPOINTS) and each.found > each.acted
            for reason in [subject.held_in(each.store)]
        )
        return Answer(stores, kept, tuple(alone))

    async def expire(self, connection: Connection, store: Store, before: datetime, limit: int) -> int:
        """Delete some of the touchpoints that are older, but for those of who is frozen or held."""
        if store.name != TOUCHPOINTS:
            return 0
        return (await connection.execute(_EXPIRE, (before, limit))).rowcount

    async def purge(self, subject: Subject) -> None:
        """Destroy the keys of what was erased: what is in backups cannot be read any more.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._database.transaction() as connection:
            found = await (await connection.execute(_DOOMED, (subject.request_id,))).fetchall()
        key_ids = [bytes(key_id) for (key_id,) in found]
        if not key_ids:
            return
        await self._keys.destroy_for(subject.request_id, key_ids, self._signing, self._clock.now())
        failpoint("identity.keys_destroyed")
        async with self._database.transaction() as connection:
            await connection.execute(_DESTROYED, (key_ids,))

    async def _remember(self, connection: Connection, unit: PartitionUnit, head: Head, numbers: Sequence[int]) -> None:
        """Remember what must not come back; an identifier that somebody else holds too may."""
        rows = unit.records(head)
        ours = set(numbers)
        for at in range(0, len(numbers), _CHUNK):
            sealed = await held_records.named(connection, numbers[at : at + _CHUNK])
            chunk = await held_records.opened(sealed, self._keys)
            payloads = [each.payload for each in chunk if each.payload is not None]
            terms = {term: normal for payload in payloads for term, normal in identifiers_in(payload).items()}
            holders = await rows.holders(list(terms))
            own = [normal for term, normal in terms.items() if ours.issuperset(holders.get(term, ()))]
            named = [(found_by(payload)[0], payload) for payload in payloads]
            await self._suppressions.add(connection, self._clock.now(), named, own)

    async def _forget(
        self,
        connection: Connection,
        unit: PartitionUnit,
        head: Head,
        subject: Subject,
        gone: dict[int, str],
        numbers: list[int],
    ) -> None:
        held = subject.held_in(TOUCHPOINTS)
        rows = unit.records(head)
        if not held.everything:
            await facts.erase(connection, numbers, held.record_ids)
        await connection.execute(_DOOM, (await rows.key_ids(gone), subject.request_id))
        await connection.execute(_FORGET_REVIEWS, {"numbers": list(gone)})
        await constraints.release(connection, gone)
        await parked.forget(connection, gone)
        await rows.erase(head, gone)
        steps = [Move(MoveKind.RECORD, profile_id, "", number, "", ERASURE) for number, profile_id in gone.items()]
        await moves.add(connection, head, steps)


async def _standing(connection: Connection, profile_ids: Sequence[str]) -> _Standing:
    current = sorted(set((await profiles.current(connection, profile_ids)).values()))
    redirecting = await profiles.redirecting(connection, current)
    return _Standing(tuple(current), tuple(sorted({*current, *(each for ids in redirecting.values() for each in ids)})))


async def _counts(connection: Connection, profile_ids: Sequence[str]) -> tuple[StoreCount, ...]:
    row = await (await connection.execute(_COUNTS, {"ids": list(profile_ids)})).fetchone()
    assert row is not None
    return tuple(StoreCount(store, found) for store, found in zip(_COUNTED, row, strict=True))


async def _alone(connection: Connection, profile_ids: Sequence[str]) -> list[str]:
    """Return the profiles of what came while the person was frozen, and was kept apart for that alone."""
    numbers = await parked.kept_out(connection, profile_ids)
    rows = await (await connection.execute(_ALONE, {"numbers": numbers})).fetchall()
    return sorted({profile_id for (profile_id,) in rows} - set(profile_ids))


async def _close(connection: Connection, head: Head, subject: Subject, profile_ids: Collection[str]) -> None:
    """Have the profiles be erased for ever, and tell of it."""
    ids = list(profile_ids)
    redirecting = await profiles.redirecting(connection, ids)
    await connection.execute(_UNPARK, (ids,))
    await connection.execute(_BLANK, ([each for redirected in redirecting.values() for each in redirected],))
    erased = await (await connection.execute(_ERASE_PROFILES, (head.position + 1, head.recorded_at, ids))).fetchall()
    messages = [
        events_pb2.ProfileErased(
            profile_id=profile_id,
            version=version,
            redirect_ids=redirecting[profile_id],
            request_id=subject.request_id,
            occurred_at=stamp(head.recorded_at),
            recorded_at=stamp(head.recorded_at),
        )
        for profile_id, version in erased
    ]
    await outbox.append(connection, [event_of(each, source=SOURCE, occurred_at=head.recorded_at) for each in messages])
