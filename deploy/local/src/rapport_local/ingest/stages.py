"""The stages of an import: what each reads, how it is sent, and what its answers mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar
from uuid import UUID, uuid5

from google.protobuf.message import Message
from google.rpc import code_pb2
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc
from rapport.identity.v1 import identity_pb2, identity_pb2_grpc, ingest_pb2, ingest_pb2_grpc, record_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.times import stamp

from rapport_local.failure import Failure
from rapport_local.ingest.cells import Fault, share_of
from rapport_local.ingest.mapping import Declared, PastConsents
from rapport_local.ingest.sending import Conversation, refusal, settled
from rapport_local.ingest.tables import Item

_REQUESTS: Final = UUID("1f6a9b0e-8a0c-4e55-9b7b-4d0d6c1d2a53")
_AT_ONCE: Final = 16
MessageT = TypeVar("MessageT", bound=Message)


class Outcome(NamedTuple):
    """What became of a message: a word to count it by, the fault if it was refused, the profile where there is one."""

    word: str
    fault: Fault | None = None
    profile_id: str = ""


Send = Callable[[Sequence[MessageT]], Awaitable[list[Outcome]]]


@dataclass(frozen=True)
class Stage(Generic[MessageT]):
    """A part of an import.

    Attributes:
        name: What it is called.
        items: Its items, from the first on.
        opened: Opens the way to the service.
        person: Source and key of the customer that a message is about, where its profile is worth keeping.
    """

    name: str
    items: Callable[[], Iterator[Item[MessageT]]]
    opened: Callable[[], Any]
    person: Callable[[MessageT], tuple[str, str]] | None = None


@asynccontextmanager
async def records(
    stub: identity_pb2_grpc.IdentityServiceAsyncStub,
) -> AsyncIterator[Send[record_pb2.Record]]:
    """Resolve records over one stream."""
    async with Conversation[Any, identity_pb2.ResolveRecordsResponse](stub.ResolveRecords) as conversation:

        async def send(messages: Sequence[record_pb2.Record]) -> list[Outcome]:
            results = await settled(
                messages,
                lambda some: conversation.ask(identity_pb2.ResolveRecordsRequest(records=some)),
                lambda answer: answer.results,
            )
            return [_refused(each) or _resolved(each.resolved) for each in results]

        yield send


@asynccontextmanager
async def touchpoints(
    stub: ingest_pb2_grpc.TouchpointServiceAsyncStub,
) -> AsyncIterator[Send[ingest_pb2.RawTouchpoint]]:
    """Take touchpoints in over one stream."""
    async with Conversation[Any, ingest_pb2.IngestTouchpointsResponse](stub.IngestTouchpoints) as conversation:

        async def send(messages: Sequence[ingest_pb2.RawTouchpoint]) -> list[Outcome]:
            results = await settled(
                messages,
                lambda some: conversation.ask(ingest_pb2.IngestTouchpointsRequest(touchpoints=some)),
                lambda answer: answer.results,
            )
            return [_refused(each) or _ingested(each.ingested) for each in results]

        yield send


@asynccontextmanager
async def past_consents(
    stub: consent_pb2_grpc.ConsentServiceAsyncStub, table: PastConsents, sha256: bytes
) -> AsyncIterator[Send[consent_pb2.ImportRow]]:
    """Import decisions over one stream, with the file as their evidence."""
    evidence = consent_pb2.ImportedEvidence(
        source=table.source, exported_at=stamp(table.exported_at), file_sha256=sha256
    )
    header = consent_pb2.RecordConsentsRequest(header=consent_pb2.ImportHeader(evidence=evidence))
    async with Conversation[Any, consent_pb2.RecordConsentsResponse](stub.RecordConsents, header) as conversation:

        async def send(messages: Sequence[consent_pb2.ImportRow]) -> list[Outcome]:
            results = await settled(
                messages,
                lambda some: conversation.ask(
                    consent_pb2.RecordConsentsRequest(batch=consent_pb2.ImportBatch(rows=some))
                ),
                lambda answer: answer.results,
            )
            return [_refused(each) or Outcome("imported") for each in results]

        yield send


def declarations(
    name: str, declared: Declared, profiles: Iterator[str]
) -> Iterator[Item[consent_pb2.RecordConsentRequest]]:
    """Yield what is declared of every profile, purpose by purpose: one that is refused holds up no other."""
    for number, profile_id in enumerate(profiles, 1):
        for each in declared.items:
            if share_of(profile_id, each.purpose) >= each.share:
                continue
            said = f"{name}\0{declared.rule}\0{each.purpose}\0{each.brand}\0{profile_id}"
            item = consent_pb2.ConsentItem(
                purpose_id=each.purpose, brand_id=each.brand or "", choice=consent_pb2.CONSENT_CHOICE_GRANT
            )
            evidence = consent_pb2.Evidence(declared=consent_pb2.DeclaredEvidence(rule=declared.rule))
            yield Item(
                number,
                consent_pb2.RecordConsentRequest(
                    request_id=str(uuid5(_REQUESTS, said)), profile_id=profile_id, items=[item], evidence=evidence
                ),
            )


@asynccontextmanager
async def declared_consents(
    stub: consent_pb2_grpc.ConsentServiceAsyncStub,
) -> AsyncIterator[Send[consent_pb2.RecordConsentRequest]]:
    """Record what the operator declares, several at a time."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def record(message: consent_pb2.RecordConsentRequest) -> Outcome:
        async with slots:
            try:
                await stub.RecordConsent(message)
            except RemoteError as error:
                if error.reason.retryable:
                    raise Failure(
                        f"consent answered {error.reason.name}", hint="the same command goes on where this one stopped"
                    ) from error
                if error.reason.name == "EVIDENCE_DECLARED_REFUSED":
                    raise Failure(
                        "this installation is marked production: it takes no declared consents",
                        hint="bring decisions with their evidence, by `past_consents`",
                    ) from error
                path = error.fields[0].path if error.fields else message.items[0].purpose_id
                return Outcome("rejected", Fault(path, f"{error.reason.name}: {error.message}"))
        return Outcome("declared")

    async def send(messages: Sequence[consent_pb2.RecordConsentRequest]) -> list[Outcome]:
        return await asyncio.gather(*(record(message) for message in messages))

    yield send


def _refused(result: Any) -> Outcome | None:
    if result.status.code == code_pb2.OK:
        return None
    if result.status.code == code_pb2.ALREADY_EXISTS:
        return Outcome("known")
    return Outcome("rejected", Fault(*refusal(result.status)))


def _resolved(resolved: identity_pb2.ResolvedRecord) -> Outcome:
    return Outcome(_word(identity_pb2.RecordOutcome, resolved.outcome), None, resolved.profile_id)


def _ingested(ingested: ingest_pb2.IngestedTouchpoint) -> Outcome:
    word = "known" if ingested.known else _word(ingest_pb2.TouchpointOutcome, ingested.outcome)
    return Outcome(word.replace("refused", "not permitted"))


def _word(enum: Any, value: int) -> str:
    prefix = "RECORD_OUTCOME_" if enum is identity_pb2.RecordOutcome else "TOUCHPOINT_OUTCOME_"
    return str(enum.Name(value)).removeprefix(prefix).lower().replace("_", " ")
