"""What participants serve: the keys they sign with, what they keep, and what they hold of a person.

Services are asked for it. Of webhooks and people it is what the registry says they keep, and what they handed in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from rapport.common.v1 import participant_pb2, participant_pb2_grpc, privacy_pb2
from rapport_chassis.signing import PublicKey
from rapport_chassis.times import moment
from rapport_privacy.participant.answers import is_genuine

from rapport_consent.adapters.handed_records import HandedRecords
from rapport_consent.adapters.peers import Peers
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.packages import Origin, PackageRecord, StoreInfo
from rapport_consent.domain.request_words import ParticipantKind
from rapport_consent.domain.tasks import AskedTask

_ORIGINS = {
    participant_pb2.DATA_ORIGIN_PROVIDED: Origin.PROVIDED,
    participant_pb2.DATA_ORIGIN_OBSERVED: Origin.OBSERVED,
    participant_pb2.DATA_ORIGIN_INFERRED: Origin.INFERRED,
}


class Participants:
    """Calls participants.

    Args:
        peers: Where services are.
        handed: What others handed in.
        declared: What others keep, by their names.
    """

    def __init__(self, peers: Peers, handed: HandedRecords, declared: Mapping[str, Sequence[StoreInfo]]) -> None:
        self._peers = peers
        self._handed = handed
        self._declared = declared
        self._keys: dict[str, dict[str, PublicKey]] = {}

    async def genuine(self, message: privacy_pb2.PrivacyTaskCompleted) -> bool:
        """Whether an answer was signed by the participant it names; its keys are asked for when one is not known.

        Raises:
            RapportError: They cannot be asked for: the answer has to come again.
        """
        key = await self.key(message.participant, message.kid)
        return key is not None and is_genuine(message, [key])

    async def key(self, participant: str, kid: str) -> PublicKey | None:
        """Return a key of a participant; None if it has none of this name."""
        known = self._keys.get(participant, {})
        if kid not in known:
            answer = await self._stub(participant).ListSigningKeys(participant_pb2.ListSigningKeysRequest())
            known = {key.kid: _key(key) for key in answer.keys}
            self._keys[participant] = known
        return known.get(kid)

    async def stores(self, tasks: Sequence[AskedTask]) -> list[StoreInfo]:
        """Return what the participants of these tasks keep about people."""
        found: list[StoreInfo] = []
        for task in tasks:
            if task.participant_kind is ParticipantKind.EVENT:
                answer = await self._stub(task.participant).ListStores(participant_pb2.ListStoresRequest())
                found += [_store(task.participant, each) for each in answer.stores]
            else:
                found += self._declared.get(task.participant, ())
        return found

    async def records(self, tasks: Sequence[AskedTask], profile_ids: Sequence[str]) -> AsyncIterator[PackageRecord]:
        """Iterate over what participants hold of a person, each under the task it has answered.

        Raises:
            RapportError: EXPORT_INCOMPLETE: one handed out less than it signed to hold.
        """
        for task in tasks:
            exported = task.participant_kind is ParticipantKind.EVENT
            async for record in self._exported(task, profile_ids) if exported else self._handed.records(task):
                yield record

    async def _exported(self, task: AskedTask, profile_ids: Sequence[str]) -> AsyncIterator[PackageRecord]:
        request = participant_pb2.ExportSubjectRequest(
            request_id=task.request_id, task_id=task.task_id, profile_ids=profile_ids
        )
        counted: dict[str, int] = {}
        ended = False
        async for part in self._stub(task.participant).ExportSubject(request):
            ended = ended or bool(part.totals) or not part.records
            for record in part.records:
                counted[part.store] = counted.get(part.store, 0) + 1
                yield PackageRecord(
                    participant=task.participant,
                    store=part.store,
                    record_id=record.record_id,
                    json=record.json,
                    recorded_at=moment(record.recorded_at) if record.HasField("recorded_at") else None,
                    redacted=tuple(record.redacted),
                )
        signed = {each.store: each.found for each in task.answer.stores} if task.answer else {}
        if not ended or any(counted.get(store, 0) < found for store, found in signed.items()):
            raise ERRORS.error(
                "EXPORT_INCOMPLETE",
                "a participant handed out less than it said to hold",
                metadata={"participant": task.participant},
            )

    def _stub(self, participant: str) -> participant_pb2_grpc.ParticipantServiceAsyncStub:
        return self._peers.stub(participant, participant_pb2_grpc.ParticipantServiceStub)


def _key(key: participant_pb2.SigningKey) -> PublicKey:
    return PublicKey(
        key.kid,
        key.public_key,
        moment(key.active_from),
        moment(key.retired_at) if key.HasField("retired_at") else None,
    )


def _store(participant: str, store: participant_pb2.DataStore) -> StoreInfo:
    return StoreInfo(
        participant=participant,
        store=store.store,
        category=store.category,
        origin=_ORIGINS.get(store.origin, Origin.UNKNOWN),
        purposes=tuple(store.purposes),
        recipients=tuple(store.recipients),
        kept_for=store.kept_for.ToTimedelta() if store.HasField("kept_for") else None,
        source=store.source,
    )
