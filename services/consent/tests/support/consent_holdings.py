"""What the small participants of privacy requests hold, and how identity among them finds people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

from rapport.identity.v1 import explanation_pb2, identity_pb2, identity_pb2_grpc, record_pb2, steward_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.ids import new_id
from rapport_privacy.participant.export import rows
from rapport_privacy.participant.holding import (
    Answer,
    Exported,
    Holding,
    Kept,
    Origin,
    Store,
    StoreCount,
    Subject,
)


class Notes(Holding):
    """Notes about people; a hold keeps them."""

    stores = (Store("notes", "user.content", Origin.PROVIDED),)

    def export(self, connection: Connection, subject: Subject) -> AsyncIterator[Exported]:
        """Yield the notes."""
        return self._export(connection, subject)

    async def _export(self, connection: Connection, subject: Subject) -> AsyncIterator[Exported]:
        query = "SELECT note_id, words FROM notes WHERE profile_id = ANY (%s) ORDER BY note_id"
        async for row in rows(connection, query, [subject.ids]):
            yield Exported("notes", row["note_id"], row)

    async def count(self, connection: Connection, subject: Subject) -> Answer:
        """Count the notes."""
        cursor = await connection.execute("SELECT FROM notes WHERE profile_id = ANY (%s)", [subject.ids])
        return Answer((StoreCount("notes", cursor.rowcount),))

    async def erase(self, connection: Connection, subject: Subject) -> Answer:
        """Delete the notes that nothing holds."""
        found = (await self.count(connection, subject)).stores[0].found
        held = subject.held_in("notes")
        gone = await connection.execute(
            "DELETE FROM notes WHERE profile_id = ANY (%s) AND NOT %s AND note_id <> ALL (%s)",
            [subject.ids, held.everything, list(held.record_ids)],
        )
        kept = found - gone.rowcount
        stores = (StoreCount("notes", found, gone.rowcount),)
        return Answer(stores, (Kept("notes", kept, held.ground, held.until),) if kept else ())


_CLOSURE: Final = """
WITH own AS (SELECT %s::text AS profile_id), closure AS (
    SELECT profile_id FROM own UNION
    SELECT other.profile_id FROM notes AS mine JOIN own USING (profile_id)
    JOIN notes AS other ON other.words = mine.words
)
"""


class People(Notes):
    """Notes of identity, which knows the ids a person had: those whose notes have the same words.

    A note whose words are those of somebody else after "parked " came while that person was frozen.
    """

    async def freeze(self, connection: Connection, subject: Subject) -> Answer:
        """Say which ids the person had."""
        counted = await self.count(connection, subject)
        query = """
            SELECT DISTINCT other.profile_id FROM notes AS own JOIN notes AS other ON other.words = own.words
            WHERE own.profile_id = ANY (%s)
        """
        found = await (await connection.execute(query, [subject.ids])).fetchall()
        ids = {*subject.profile_ids, *(row[0] for row in found)}
        return Answer(counted.stores, closure_ids=tuple(sorted(ids)))

    async def erase(self, connection: Connection, subject: Subject) -> Answer:
        """Delete the notes, and those that were kept apart for the freeze alone: their ids are the person's, too."""
        query = """
            SELECT DISTINCT came.profile_id FROM notes AS own JOIN notes AS came ON came.words = 'parked ' || own.words
            WHERE own.profile_id = ANY (%s)
        """
        parked = [row[0] for row in await (await connection.execute(query, [subject.ids])).fetchall()]
        erased = await super().erase(connection, replace(subject, profile_ids=(*subject.profile_ids, *parked)))
        return replace(erased, closure_ids=tuple(parked))


class Identity(identity_pb2_grpc.IdentityServiceServicer):
    """Finds people by the address that is the words of a note."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def LookupProfile(
        self, request: identity_pb2.LookupProfileRequest, context: Any
    ) -> identity_pb2.LookupProfileResponse:
        """Find the profile of an address."""
        async with self._database.transaction() as connection:
            query = "SELECT profile_id FROM notes WHERE words = %s ORDER BY place LIMIT 1"
            row = await (await connection.execute(query, [request.identifier.value])).fetchone()
        if row is None:
            return identity_pb2.LookupProfileResponse(outcome=identity_pb2.LOOKUP_OUTCOME_NOT_FOUND)
        return identity_pb2.LookupProfileResponse(outcome=identity_pb2.LOOKUP_OUTCOME_FOUND, profile_id=row[0])

    async def ExplainProfile(
        self, request: explanation_pb2.ExplainProfileRequest, context: Any
    ) -> explanation_pb2.ProfileExplanation:
        """Tell the person's notes: those that begin with "maybe" are theirs by little evidence."""
        query = f"""
            {_CLOSURE} SELECT note_id, profile_id, words LIKE 'maybe%%' FROM notes JOIN closure USING (profile_id)
            ORDER BY words LIKE 'maybe%%', place
        """
        async with self._database.transaction() as connection:
            found = await (await connection.execute(query.encode(), [request.profile_id])).fetchall()
        told = explanation_pb2.ProfileExplanation(profile_id=request.profile_id)
        for note_id, profile_id, _ in found:
            key = record_pb2.RecordKey(source="notes", source_record_id=note_id)
            told.leaves.add(record=key, recorded_under=profile_id)
        for at, (*_, maybe) in enumerate(found[1:], start=1):
            left = 0 if at == 1 else len(found) + at - 2
            told.joins.add(left=left, right=at, average_bits=2.0 if maybe else 30.0)
        return told

    async def ExcludeRecords(
        self, request: steward_pb2.ExcludeRecordsRequest, context: Any
    ) -> steward_pb2.StewardDecision:
        """Give notes to somebody else."""
        async with self._database.transaction() as connection:
            notes = [each.source_record_id for each in request.records]
            await connection.execute(
                "UPDATE notes SET profile_id = %s WHERE note_id = ANY (%s)", [new_id("profile"), notes]
            )
        return steward_pb2.StewardDecision()

    async def GetContactPoints(
        self, request: identity_pb2.GetContactPointsRequest, context: Any
    ) -> identity_pb2.GetContactPointsResponse:
        """Return the address on file."""
        async with self._database.transaction() as connection:
            query = "SELECT words FROM notes WHERE profile_id = %s ORDER BY place LIMIT 1"
            row = await (await connection.execute(query, [request.profile_id])).fetchone()
        points = [identity_pb2.ContactPoint(contact_point_id=new_id("contact_point"), email=row[0])] if row else []
        return identity_pb2.GetContactPointsResponse(contact_points=points)
