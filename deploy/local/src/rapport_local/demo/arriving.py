"""The scenes about many people: a town comes by five channels, decides what it allows, and has bought for two years."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import comb
from typing import Final

from rapport.churn.v1 import churn_pb2
from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport.identity.v1 import identity_pb2, ingest_pb2, profile_pb2, record_pb2
from rapport.notification.v1 import preference_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.times import stamp
from rapport_identity.population import Noise

from rapport_local.demo.asking import request_id, until
from rapport_local.demo.channels import visit
from rapport_local.demo.lives import touchpoints
from rapport_local.demo.recognition import take
from rapport_local.demo.report import Report
from rapport_local.demo.scenes import ANALYTICS, EMAIL, NORTH, PERSONAL_PRICES, PROFILING
from rapport_local.demo.shop import Cast
from rapport_local.demo.story import Share
from rapport_local.demo.town import Customer, Town

OFFERS: Final = "offers"
"""The category of messages that offers are."""

_BATCH: Final = 250
_TIMEOUT_S: Final = 180.0
_LOOK_EVERY_S: Final = 0.25
_LOOKED_AT: Final = 12
_LEAST_PRECISION: Final = 0.97
_LEAST_RECALL: Final = 0.7
_NOISES_SHOWN: Final = 9
_WORDS: Final = {
    ANALYTICS: "look at what I buy",
    PROFILING: "tell who may leave",
    PERSONAL_PRICES: "a price for me",
    EMAIL: "write me e-mails",
}


@dataclass(frozen=True)
class Known:
    """The town as the suite knows it.

    Attributes:
        town: As it is in truth.
        profiles: Serial number of a customer -> profile.
        scattered: Serial numbers of those of whom some record is in another profile than theirs.
    """

    town: Town
    profiles: Mapping[int, str]
    scattered: frozenset[int]

    def profile_of(self, customer: Customer) -> str:
        """Return the profile that a customer is recognised by."""
        return self.profiles[customer.person.serial]

    def permits(self, profile_id: str, purpose_id: str) -> bool:
        """Whether something is permitted of a profile; where two share one by mistake, the no of either holds."""
        said = {each.answers.get(purpose_id) for each in self.town.customers if self.profile_of(each) == profile_id}
        return ledger_pb2.CONSENT_STATUS_GRANTED in said and ledger_pb2.CONSENT_STATUS_REFUSED not in said

    def by_profile(self) -> dict[str, Customer]:
        """Return the customer behind each profile; none where two share one by mistake."""
        found: dict[str, list[Customer]] = defaultdict(list)
        for each in self.town.customers:
            found[self.profile_of(each)].append(each)
        return {profile_id: each[0] for profile_id, each in found.items() if len(each) == 1}


async def recognised(report: Report, cast: Cast, town: Town) -> Known:
    """Load what five channels know of a town, and compare the profiles with the people."""
    report.say(
        f"{len(town.customers)} people in {len(town.households)} households, as five channels wrote them down: typing "
        "errors, nicknames, moves, marriages, shared telephones and mailboxes, twins, fathers and sons."
    )
    records = [record for record, _ in town.sightings] + [each.record() for each in town.customers]
    people = [truth.person for _, truth in town.sightings] + [each.person.serial for each in town.customers]
    began = time.perf_counter()
    profiles = await _loaded(cast, records)
    took_s = time.perf_counter() - began
    # A later record may have joined what an earlier answer still told apart.
    profiles = await _current(cast, profiles)
    right = _pairs(zip(profiles, people, strict=True))
    precision, recall = right / _pairs(profiles), right / _pairs(people)
    report.rows(
        [
            ("records", "a second, durable", "people", "profiles", "pairs right", "pairs found"),
            (
                f"{len(records):,}",
                f"{len(records) / took_s:,.0f}",
                f"{len(town.customers):,}",
                f"{len(set(profiles)):,}",
                f"{precision:.1%}",
                f"{recall:.1%}",
            ),
        ]
    )
    own = dict(zip(people[len(town.sightings) :], profiles[len(town.sightings) :], strict=True))
    scattered = {person for person, profile_id in zip(people, profiles, strict=True) if own[person] != profile_id}
    known = Known(town, own, frozenset(scattered))
    report.chart("Found their person all the same, by what was wrong with them:", _despite(known, profiles))
    report.expect(precision >= _LEAST_PRECISION, "who was put together is hardly ever two people")
    report.expect(recall >= _LEAST_RECALL, "who belongs together mostly is, though many a visit has but a cookie")
    report.figure("people recognised", f"{len(town.customers):,}", f"in {len(records):,} noisy records")
    report.figure("pairs put together rightly", f"{precision:.1%}", f"{recall:.1%} of those there are were found")
    return known


async def decided(report: Report, cast: Cast, known: Known) -> None:
    """What they said when they signed up, and what they prefer."""
    now = datetime.now(UTC)
    rows = [
        consent_pb2.ImportRow(
            external_id=f"{each.person.account}-{purpose_id}",
            profile_id=known.profile_of(each),
            purpose_id=purpose_id,
            brand_id=NORTH if purpose_id == EMAIL else "",
            status=status,
            occurred_at=stamp(now),
        )
        for each in known.town.customers
        for purpose_id, status in each.answers.items()
    ]
    written = await _imported(cast, rows, now)
    quiet = [each for each in known.town.customers if not each.wants_offers]
    for each in quiet:
        await cast.preferences.SetPreferences(
            preference_pb2.SetPreferencesRequest(
                request_id=request_id(),
                profile_id=known.profile_of(each),
                preferences=[preference_pb2.Preference(category=OFFERS, wanted=False)],
            )
        )
    people = len(known.town.customers)
    said = [Counter(each.answers.get(purpose_id) for each in known.town.customers) for purpose_id in _WORDS]
    granted, refused = ledger_pb2.CONSENT_STATUS_GRANTED, ledger_pb2.CONSENT_STATUS_REFUSED
    report.rows(
        [
            ("may you …", "yes", "no", "never asked"),
            *(
                (words, str(counts[granted]), str(counts[refused]), str(counts[None]))
                for words, counts in zip(_WORDS.values(), said, strict=True)
            ),
        ]
    )
    report.say(f"{len(quiet)} of them prefer not to hear of offers, whatever they allowed.")
    report.expect(written == len(rows), f"{written:,} decisions are in the ledger, with the file they came from")
    silent = [each for each in known.town.customers if not each.allows(EMAIL)]
    report.expect(0 < len(silent) < people, f"{len(silent)} of {people} may not be written to")


async def history(report: Report, cast: Cast, known: Known) -> None:
    """Two years of the town come in: orders with seasons and pauses, returns, calls for help."""
    sent = sorted(
        (
            (touchpoint, known.profile_of(each))
            for each in known.town.customers
            for touchpoint in touchpoints(each.events, each.person.account, each.account)
        ),
        key=lambda each: each[0].touchpoint.occurred_at.seconds,
    )
    permitted = {each for each in known.profiles.values() if known.permits(each, ANALYTICS)}
    last = [each for each in known.town.customers if known.profile_of(each) in permitted][-_LOOKED_AT:]
    await until(  # identity's gate has learnt of it; a visit that is refused leaves nothing
        lambda: asyncio.gather(*(take(cast, visit(each.account)) for each in last)),
        lambda done: all(each.outcome == ingest_pb2.TOUCHPOINT_OUTCOME_RECORDED for each in done),
        every_s=_LOOK_EVERY_S,
    )
    began = time.perf_counter()
    done = await _sent(cast, [touchpoint for touchpoint, _ in sent])
    took_s = time.perf_counter() - began
    whole = Counter(each.profile_id for each in done if not _denied(each))
    await _arrived(cast, [who for who in whole if known.permits(who, PROFILING)], whole)
    known_s = time.perf_counter() - began
    theirs = sum(each.profile_id == profile_id for each, (_, profile_id) in zip(done, sent, strict=True))
    report.rows(
        [
            ("touchpoints", "a second, durable", "their customer's", "without analytics", "at churn after"),
            (
                f"{len(sent):,}",
                f"{len(sent) / took_s:,.0f}",
                f"{theirs / len(sent):.1%}",
                f"{len(sent) - whole.total():,}",
                f"{known_s:.1f} s",
            ),
        ]
    )
    report.expect(all(each.fact_id for each in done), "every touchpoint is kept, as far as its customer allows")
    report.expect(
        all(not _denied(each) if each.profile_id in permitted else each.refused_purposes for each in done),
        "of those who did not say yes, only for what delivery and service need",
    )
    report.figure("touchpoints a second", f"{len(sent) / known_s:,.0f}", "from the shop to what churn learns from")


def _despite(known: Known, profiles: Sequence[str]) -> list[Share]:
    """Return for each kind of noise which share of the records with it are in the profile of their person."""
    seen, found = Counter[Noise](), Counter[Noise]()
    for (_, truth), profile_id in zip(known.town.sightings, profiles, strict=False):
        for noise in truth.noise:
            seen[noise] += 1
            found[noise] += profile_id == known.profiles[truth.person]
    return [
        Share(noise.replace("_", " "), found[noise] / many, f"{found[noise] / many:.0%} of {many}")
        for noise, many in seen.most_common(_NOISES_SHOWN)
    ]


async def _loaded(cast: Cast, records: Sequence[record_pb2.Record]) -> list[str]:
    """Send records in batches, and return the profile of each."""

    async def batches() -> AsyncIterator[identity_pb2.ResolveRecordsRequest]:
        for first in range(0, len(records), _BATCH):
            yield identity_pb2.ResolveRecordsRequest(batch=first, records=records[first : first + _BATCH])

    answers = cast.measured.ResolveRecords(batches(), timeout=_TIMEOUT_S)
    return [result.resolved.profile_id async for answer in answers for result in answer.results]


async def _current(cast: Cast, profiles: Sequence[str]) -> list[str]:
    """Return the id that each stands under now."""
    ids = sorted(set(profiles))
    found: dict[str, str] = {}
    for first in range(0, len(ids), _BATCH):
        some = ids[first : first + _BATCH]
        listed = await cast.identity.BatchGetProfiles(profile_pb2.BatchGetProfilesRequest(profile_ids=some))
        found |= {old: each.profile.profile_id for old, each in zip(some, listed.results, strict=True)}
    return [found[each] for each in profiles]


async def _imported(cast: Cast, rows: Sequence[consent_pb2.ImportRow], now: datetime) -> int:
    """Import decisions and return how many were written."""
    evidence = consent_pb2.ImportedEvidence(
        source="old-crm", exported_at=stamp(now), file_sha256=hashlib.sha256(b"sign-ups").digest()
    )

    async def messages() -> AsyncIterator[consent_pb2.RecordConsentsRequest]:
        yield consent_pb2.RecordConsentsRequest(header=consent_pb2.ImportHeader(evidence=evidence))
        for first in range(0, len(rows), _BATCH):
            yield consent_pb2.RecordConsentsRequest(batch=consent_pb2.ImportBatch(rows=rows[first : first + _BATCH]))

    return sum(
        [
            not result.status.code
            async for answer in cast.untraced.RecordConsents(messages())
            for result in answer.results
        ]
    )


async def _sent(cast: Cast, sent: Sequence[ingest_pb2.RawTouchpoint]) -> list[ingest_pb2.IngestedTouchpoint]:
    """Send touchpoints in batches, and return what became of each."""

    async def batches() -> AsyncIterator[ingest_pb2.IngestTouchpointsRequest]:
        for first in range(0, len(sent), _BATCH):
            yield ingest_pb2.IngestTouchpointsRequest(batch=first, touchpoints=sent[first : first + _BATCH])

    answers = cast.touchpoints.IngestTouchpoints(batches(), timeout=_TIMEOUT_S)
    return [result.ingested async for answer in answers for result in answer.results]


def _denied(touchpoint: ingest_pb2.IngestedTouchpoint) -> bool:
    """Whether a purpose was refused for good: what a gate could not know at that moment is decided later."""
    return any(each.decision.answer != consent_pb2.ANSWER_DENY_STALE for each in touchpoint.refused_purposes)


async def _arrived(cast: Cast, people: Sequence[str], sent: Mapping[str, int]) -> None:
    """Wait until everything has come to churn: of those who were last seen last."""
    some = list(people)[-_LOOKED_AT:]

    async def missing() -> int:
        return sum([sent[each] - await _events_of(cast, each) for each in some])

    await until(missing, lambda count: count <= 0, within_s=_TIMEOUT_S, every_s=_LOOK_EVERY_S)


async def _events_of(cast: Cast, profile_id: str) -> int:
    try:
        return (await cast.churn.GetFeatures(churn_pb2.GetFeaturesRequest(profile_id=profile_id))).events
    except RemoteError as error:
        if error.reason.name != "NOTHING_KNOWN":
            raise
        return 0


def _pairs(groups: Iterable[Hashable]) -> int:
    return sum(comb(size, 2) for size in Counter(groups).values())
