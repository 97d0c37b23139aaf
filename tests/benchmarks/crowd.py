"""The people of the benchmark: recognised, with their consents, and what they do."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final, TypeVar

from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport.identity.v1 import identity_pb2, ingest_pb2
from rapport_chassis.times import stamp
from rapport_privacy.freshness import BOUND_S
from suite_authoring import ANALYTICS, EMAIL, NORTH, PERSONAL_PRICES, PROFILING
from suite_people import Person
from suite_shop import Shop, patiently

CRM: Final = "crm"
AT_ONCE: Final = 200
_ROWS: Final = 200
_PEOPLE: Final = 2_000
_KNOWN: Final = 6  # ALREADY_EXISTS: sent again
_WANTED: Final = (ANALYTICS, PROFILING, PERSONAL_PRICES, EMAIL)
_EVERY: Final = 10
"""Of so many touchpoints one is an order; the others are visits."""

T = TypeVar("T")


class Crowd:
    """People of a suite.

    Args:
        shop: Calls.
        base: The time that what they did is counted back from.
    """

    def __init__(self, shop: Shop, base: datetime) -> None:
        self.people: list[Person] = []
        self.ids: list[str] = []
        self._shop = shop
        self._base = base
        self._visits = count()

    async def grow(self, size: int) -> float:
        """Have more people recognised and asked, until there are so many; return the seconds that recognising took.

        Every gate has heard of what they said when this returns.
        """
        new = [Person(f"crowd-{number}", number, self._base) for number in range(len(self.people), size)]
        began = time.perf_counter()
        ids = await self._recognised(new)
        took_s = time.perf_counter() - began
        await self._asked(ids)
        await asyncio.sleep(BOUND_S)
        self.people += new
        self.ids += ids
        return took_s

    async def strangers(self, size: int, key: str) -> list[tuple[Person, str]]:
        """Have some people recognised and asked who have done nothing yet; each will turn out to have left long ago."""
        new = [Person(f"{key}-{number}", 1, self._base) for number in range(size)]
        ids = await self._recognised(new)
        await self._asked(ids)
        await asyncio.sleep(BOUND_S)
        return list(zip(new, ids, strict=True))

    def touchpoints(self, number: int) -> Iterator[ingest_pb2.RawTouchpoint]:
        """What people do, one after the other: visits, and now and then an order."""
        for _ in range(number):
            at = next(self._visits)
            # Spread over all of them, in no order that storage could profit from.
            person = self.people[at * 7919 % len(self.people)]
            moment = self._base + timedelta(seconds=at % 3000)
            cents = 2_000 if at % _EVERY == 0 else 0
            yield person.touchpoint(CRM, f"visit-{at}", moment, cents=cents)

    async def take_in(self, touchpoints: Iterable[ingest_pb2.RawTouchpoint]) -> int:
        """Send touchpoints batch by batch, as fast as they are taken in; return how many were recorded."""

        async def batches() -> AsyncIterator[ingest_pb2.IngestTouchpointsRequest]:
            for at, batch in enumerate(_in_batches(touchpoints, AT_ONCE)):
                yield ingest_pb2.IngestTouchpointsRequest(batch=at, touchpoints=batch)

        recorded = 0
        async for answer in self._shop.touchpoints.IngestTouchpoints(batches()):
            for result in answer.results:
                if result.status.code:
                    raise RuntimeError(f"a touchpoint was refused: {result.status}")
                recorded += not result.ingested.refused_purposes
        return recorded

    async def _recognised(self, people: Sequence[Person]) -> list[str]:
        ids: list[str] = []
        for batch in _in_batches(people, _PEOPLE):
            ids += await patiently(lambda batch=batch: self._recognised_of(batch))  # type: ignore[misc] # bound now
        return ids

    async def _recognised_of(self, people: Sequence[Person]) -> list[str]:
        async def batches() -> AsyncIterator[identity_pb2.ResolveRecordsRequest]:
            for at, batch in enumerate(_in_batches(people, _ROWS)):
                yield identity_pb2.ResolveRecordsRequest(batch=at, records=[each.record(CRM) for each in batch])

        answers = [answer async for answer in self._shop.identity.ResolveRecords(batches())]
        return [result.resolved.profile_id for answer in sorted(answers, key=_number) for result in answer.results]

    async def _asked(self, ids: Sequence[str]) -> None:
        for batch in _in_batches(dict.fromkeys(ids), _PEOPLE):  # some are taken for one
            await patiently(lambda batch=batch: self._asked_of(batch))  # type: ignore[misc] # bound now

    async def _asked_of(self, ids: Sequence[str]) -> None:
        exported = datetime.now(UTC) - timedelta(minutes=1)
        evidence = consent_pb2.ImportedEvidence(
            source="crm", exported_at=stamp(exported), file_sha256=hashlib.sha256(b"crm").digest()
        )
        rows = (
            consent_pb2.ImportRow(
                external_id=f"{profile_id}-{purpose_id}",
                profile_id=profile_id,
                purpose_id=purpose_id,
                brand_id=NORTH if purpose_id == EMAIL else "",
                status=ledger_pb2.CONSENT_STATUS_GRANTED,
                occurred_at=stamp(exported - timedelta(days=1)),
            )
            for profile_id in ids
            for purpose_id in _WANTED
        )

        async def messages() -> AsyncIterator[consent_pb2.RecordConsentsRequest]:
            yield consent_pb2.RecordConsentsRequest(header=consent_pb2.ImportHeader(evidence=evidence))
            for batch in _in_batches(rows, _ROWS):
                yield consent_pb2.RecordConsentsRequest(batch=consent_pb2.ImportBatch(rows=batch))

        async for answer in self._shop.consent.RecordConsents(messages()):
            for result in answer.results:
                if result.status.code not in (0, _KNOWN):
                    raise RuntimeError(f"a consent was refused: {result.status}")


def _number(answer: identity_pb2.ResolveRecordsResponse) -> int:
    return answer.batch


def _in_batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    batch: list[T] = []
    for each in things:
        batch.append(each)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
