"""Serves a participant's part in privacy requests: the export, its public keys, its stores."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from google.protobuf.duration_pb2 import Duration
from rapport.common.v1 import participant_pb2, participant_pb2_grpc
from rapport_chassis.database.engine import Database
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.signing import PublicKey, SigningKeys
from rapport_chassis.times import stamp

from rapport_privacy.participant import journal
from rapport_privacy.participant.errors import PARTICIPANT_ERRORS
from rapport_privacy.participant.export import parts
from rapport_privacy.participant.holding import Holding, Store, TaskKind

SERVICE = participant_pb2.DESCRIPTOR.services_by_name["ParticipantService"]
"""What is served."""


class ParticipantServicer(participant_pb2_grpc.ParticipantServiceServicer):
    """The service `ParticipantService` of one participant.

    Args:
        name: Name of the service.
        database: Where the journal is, and what the service holds.
        holding: What it holds.
        keys: What answers are signed with.
    """

    def __init__(self, name: str, database: Database, holding: Holding, keys: SigningKeys) -> None:
        self._name = name
        self._database = database
        self._holding = holding
        self._keys = keys

    async def ExportSubject(  # noqa: N802 - the contract names it
        self, request: participant_pb2.ExportSubjectRequest, context: Context
    ) -> AsyncGenerator[participant_pb2.ExportedRecords, None]:
        """Hand out a copy of all that is held about the subject of a task, part by part."""
        async with self._database.transaction() as connection:
            task = await journal.find(connection, request.request_id, request.task_id)
        if task is None or task.kind not in (TaskKind.ACCESS, TaskKind.PROBE):
            raise PARTICIPANT_ERRORS.error("TASK_UNKNOWN", "no such task asks for a copy here", field="task_id")
        if set(task.subject.profile_ids) != set(request.profile_ids):
            raise PARTICIPANT_ERRORS.error("TASK_DIFFERS", "the task is about other ids", field="profile_ids")
        if task.state != "answered":
            raise PARTICIPANT_ERRORS.error("TASK_OPEN", "the task is not answered yet", retry_after_s=1)
        async with aclosing(parts(self._database, self._holding, task.subject)) as exported:
            async for part in exported:
                yield part

    async def ListSigningKeys(  # noqa: N802 - the contract names it
        self, request: participant_pb2.ListSigningKeysRequest, context: Context
    ) -> participant_pb2.ListSigningKeysResponse:
        """Return the public keys that verify answers, newest first."""
        return participant_pb2.ListSigningKeysResponse(keys=[_key(key) for key in self._keys.public_keys()])

    async def ListStores(  # noqa: N802 - the contract names it
        self, request: participant_pb2.ListStoresRequest, context: Context
    ) -> participant_pb2.ListStoresResponse:
        """Return what the service keeps about people."""
        stores = sorted(self._holding.stores, key=lambda store: store.name)
        return participant_pb2.ListStoresResponse(participant=self._name, stores=[_store(each) for each in stores])


def _key(key: PublicKey) -> participant_pb2.SigningKey:
    return participant_pb2.SigningKey(
        kid=key.kid,
        public_key=key.public_key,
        active_from=stamp(key.active_from),
        retired_at=stamp(key.retired_at) if key.retired_at else None,
    )


def _store(store: Store) -> participant_pb2.DataStore:
    kept_for = None if store.kept_for is None else Duration(seconds=round(store.kept_for.total_seconds()))
    return participant_pb2.DataStore(
        store=store.name,
        category=store.category,
        origin=participant_pb2.DataOrigin.ValueType(store.origin),
        purposes=store.purposes,
        recipients=store.recipients,
        kept_for=kept_for,
        source=store.source,
    )
