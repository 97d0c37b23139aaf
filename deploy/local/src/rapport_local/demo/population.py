"""The scene about many people: records of a made-up town come at once, and it is known who each is really about."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Iterable, Sequence
from math import comb
from typing import Final

from rapport.identity.v1 import identity_pb2, record_pb2
from rapport_identity.population import Population, Sighting
from rapport_identity.population.messages import message_of

from rapport_local.demo.report import Report
from rapport_local.demo.shop import Cast

_SOURCES: Final = {"web": "webshop", "shop": "store", "call_centre": "support"}
"""What those of the generator are called that a fresh installation declares by another name."""

_RECORDS: Final = 1_000
_BATCH: Final = 250
_SEED: Final = 7
_TIMEOUT_S: Final = 60.0
_LEAST_PRECISION: Final = 0.97
_LEAST_RECALL: Final = 0.6


async def town(report: Report, cast: Cast) -> None:
    """Load them, and compare the profiles with the people."""
    report.say("Typing errors, nicknames, moves, marriages, shared telephones and mailboxes, twins, fathers and sons.")
    labelled = list(Population(seed=_SEED).labelled(_RECORDS))
    records = [_sent(sighting) for sighting, _ in labelled]
    began = time.perf_counter()
    await _load(cast, records)
    took_s = time.perf_counter() - began
    # Asked for again: a later record may have joined what an earlier answer still told apart.
    results = await _load(cast, records)
    known = [
        (result.resolved.profile_id, truth.person)
        for result, (_, truth) in zip(results, labelled, strict=True)
        if result.status.code == 0
    ]
    profiles, people = [profile_id for profile_id, _ in known], [person for _, person in known]
    right = _pairs(known)
    precision, recall = right / _pairs(profiles), right / _pairs(people)
    report.rows(
        [
            ("records", "a second, durable", "people", "profiles", "pairs right", "pairs found"),
            (
                f"{len(records):,}",
                f"{len(records) / took_s:,.0f}",
                f"{len(set(people)):,}",
                f"{len(set(profiles)):,}",
                f"{precision:.1%}",
                f"{recall:.1%}",
            ),
        ]
    )
    report.expect(len(known) == _RECORDS, "every record was taken in, and has a profile")
    report.expect(precision >= _LEAST_PRECISION, "who was put together is hardly ever two people")
    report.expect(recall >= _LEAST_RECALL, "who belongs together mostly is, though many a visit has but a cookie")


def _sent(sighting: Sighting) -> record_pb2.Record:
    record = message_of(sighting)
    record.key.source = _SOURCES.get(record.key.source, record.key.source)
    return record


async def _load(cast: Cast, records: Sequence[record_pb2.Record]) -> list[identity_pb2.ResolveRecordsResult]:
    """Send records in batches, and return what became of each."""

    async def batches() -> AsyncIterator[identity_pb2.ResolveRecordsRequest]:
        for first in range(0, len(records), _BATCH):
            yield identity_pb2.ResolveRecordsRequest(batch=first, records=records[first : first + _BATCH])

    answers = cast.measured.ResolveRecords(batches(), timeout=_TIMEOUT_S)
    return [result async for answer in answers for result in answer.results]


def _pairs(groups: Iterable[Hashable]) -> int:
    return sum(comb(size, 2) for size in Counter(groups).values())
