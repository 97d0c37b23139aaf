"""The main job, for some people: recognised, asked, observed, found to be one, scored, made offers, written to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Final, TypeVar
from uuid import UUID, uuid5

import grpc
import psycopg
from rapport.consent.v1 import consent_pb2
from rapport.identity.v1 import identity_pb2, identity_pb2_grpc, ingest_pb2, record_pb2, steward_pb2
from rapport_chassis.errors import RapportError
from rapport_chassis.events.wire import WireError
from suite_authoring import ANALYTICS, EMAIL, PERSONAL_PRICES, PROFILING
from suite_people import Person, choice
from suite_shop import PASSING, NotYet, Shop, patiently, request_id, until
from suite_state import scored, unsettled
from suite_streams import Streams

CRM: Final = "crm"
APP: Final = "app"
_REQUESTS: Final = UUID("5f9a3c1e-2b0d-4a86-8c55-0b6d0b3f7d42")
_AT_ONCE: Final = 4
_ORDERS: Final = {CRM: 5, APP: 2}
_SETTLED_S: Final = 300.0
_LOOK_S: Final = 0.3
_DOWN: Final = (RapportError, WireError, psycopg.Error, ConnectionError, TimeoutError)
_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}

T = TypeVar("T")
Step = Callable[[], Awaitable[None]]
"""Called before each call of the job, so that a test may do something between any two."""


async def _nothing() -> None:
    pass


class MainJob:
    """The main job for some people; each call is repeated until it is answered, and changes nothing the second time.

    Every second of them has an account in the app, which turns out to be theirs; of those every fourth not to be. Every
    third buys to the last, the others have left. Every fifth takes back the mails in the end, every fifth everything.

    Args:
        shop: Calls.
        key: Sets these people apart from others of the environment.
        people: How many.
        base: The time that everything is counted back from.
        step: Called before each call.
    """

    def __init__(self, shop: Shop, key: str, people: int, base: datetime, step: Step = _nothing) -> None:
        self.people = [Person(f"{key}{number}", number, base) for number in range(people)]
        self.ids: dict[str, dict[str, str]] = {person.key: {} for person in self.people}
        """For each person, the ids that were issued: what the test calls it -> the id."""
        self._shop = shop
        self._streams = Streams(shop.suite)
        self._step = step
        self.base = base
        self._probes = count()
        self._key = key

    async def run(self) -> None:
        """Go through all of it; what one part leads to has settled before the next begins."""
        await self._each(self._arrive)
        issued = [each for names in self.ids.values() for each in names.values()]
        assert len({*issued}) == len(issued), f"somebody is taken for somebody else: {self.ids}"
        await self._each(self._told)
        await self._heard()
        await self._each(self._bought)
        await self._each(self._one)
        await self._each(self._two)
        await self.settled()
        await self._each(self._profiled)
        await self._scored()
        await self.settled()
        await self._each(self._changed)
        await self.settled()

    def names(self) -> dict[str, dict[str, str]]:
        """Return for each number of a person the names of the ids, so that two runs can be compared."""
        return {
            str(person.number): {issued: name for name, issued in self.ids[person.key].items()}
            for person in self.people
        }

    async def _scored(self) -> None:
        """Wait until everybody is scored, which begins once churn has heard that it may."""
        ids = [names[CRM] for names in self.ids.values()]

        async def missing() -> int:
            try:
                return len(ids) - await scored(self._shop.suite, ids)
            except _DOWN:
                return len(ids)

        await until(missing, lambda count: count == 0, within_s=_SETTLED_S, every_s=_LOOK_S, what="everybody is scored")

    async def settled(self) -> None:
        """Wait until nothing is on its way any more."""

        before: list[int] = []

        async def left() -> list[str]:
            """What is under way now, or was since the last look: what left one service may not be in the next yet."""
            try:
                found = await unsettled(self._shop.suite)
                ends = before if found else await self._streams.ends()
            except _DOWN as down:
                return [repr(down)]
            if ends != before:
                before[:] = ends
                found = ["something that was published"]
            return found

        await until(left, lambda found: not found, within_s=_SETTLED_S, every_s=_LOOK_S, what="all is settled")

    async def _each(self, part: Callable[[Person], Awaitable[None]]) -> None:
        """Have some people at a time go through a part."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(person: Person) -> None:
            async with places:
                await part(person)

        async with asyncio.TaskGroup() as group:
            for person in self.people:
                group.create_task(one(person))

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        await self._step()
        return await patiently(call)

    async def _arrive(self, person: Person) -> None:
        """Records come in."""
        sources = [(CRM, True), (APP, False)] if person.number % 2 == 0 else [(CRM, True)]
        for source, named in sources:
            self.ids[person.key][source] = await self._resolved(person, source, named=named)

    async def _told(self, person: Person) -> None:
        """They say what is allowed; in the app some say otherwise."""
        ids = self.ids[person.key]
        await self._chosen(person, CRM, ANALYTICS, EMAIL, PERSONAL_PRICES)
        if APP in ids:
            await self._chosen(person, APP, ANALYTICS, PERSONAL_PRICES)
            await self._chosen(person, APP, EMAIL, granted=person.number % 4 != 0)

    async def _heard(self) -> None:
        """Wait until identity has heard of every decision: of the newest, that is."""
        last = Person(f"{self._key}-heard-{next(self._probes)}", 1, self.base)
        profile_id = await self._resolved(last, CRM, named=True)
        await self._call(lambda: self._shop.consent.RecordConsent(self._choice(profile_id, last.key, ANALYTICS)))

        async def seen() -> ingest_pb2.IngestedTouchpoint:
            visit = last.touchpoint(CRM, f"seen-{next(self._probes)}", self.base)
            return await self._taken(visit, named=request_id())

        await until(seen, lambda done: done.outcome == ingest_pb2.TOUCHPOINT_OUTCOME_RECORDED)

    async def _bought(self, person: Person) -> None:
        """They buy and look around: one by one, and in batches."""
        for source in self.ids[person.key]:
            first, *others = person.orders(source, _ORDERS[source])
            visit = person.touchpoint(source, "visit", self.base - timedelta(days=250))
            await self._taken(first, named=str(uuid5(_REQUESTS, first.source_event_id)))
            await self._call(lambda others=[*others, visit]: self._taken_in(others))  # type: ignore[misc] # bound now

    async def _one(self, person: Person) -> None:
        """The account in the app turns out to be theirs."""
        if APP in self.ids[person.key]:
            survivor = await self._resolved(person, APP, named=True)
            assert survivor == self.ids[person.key][CRM], "who was known longer keeps the id"

    async def _two(self, person: Person) -> None:
        """The account in the app turns out to be somebody else's after all."""
        if person.number % 8 == 0:
            wanted = steward_pb2.SplitProfileRequest(
                request_id=str(uuid5(_REQUESTS, f"{person.key} split")),
                profile_id=self.ids[person.key][CRM],
                leaving=[steward_pb2.RecordGroup(records=[person.record_key(APP)])],
                reason="two people",
            )
            await self._call(
                lambda: self._shop.stub("identity", identity_pb2_grpc.IdentityServiceStub, role="steward").SplitProfile(
                    wanted
                )
            )

    async def _profiled(self, person: Person) -> None:
        """They allow to be profiled, which leads to scores, risks, offers and mails."""
        await self._chosen(person, CRM, PROFILING)

    async def _changed(self, person: Person) -> None:
        """Some take something back."""
        if person.number % 5 in (3, 4):
            request = consent_pb2.WithdrawConsentRequest(
                request_id=str(uuid5(_REQUESTS, f"{person.key} withdraw")),
                profile_id=self.ids[person.key][CRM],
                purpose_ids=[EMAIL] if person.number % 5 == 3 else [],
            )
            await self._call(lambda: self._shop.consent.WithdrawConsent(request))

    async def _chosen(self, person: Person, name: str, *purpose_ids: str, granted: bool = True) -> None:
        profile_id = self.ids[person.key][name]
        request = self._choice(profile_id, f"{person.key} {name}", *purpose_ids, granted=granted)
        await self._call(lambda: self._shop.consent.RecordConsent(request))

    def _choice(
        self, profile_id: str, named: str, *purpose_ids: str, granted: bool = True
    ) -> consent_pb2.RecordConsentRequest:
        made = str(uuid5(_REQUESTS, f"{named} {purpose_ids} {granted}"))
        return choice(profile_id, *purpose_ids, granted=granted, request_id=made)

    async def _resolved(self, person: Person, source: str, *, named: bool) -> str:
        record: record_pb2.Record = person.record(source, named=named)
        made = str(uuid5(_REQUESTS, f"{person.key} {source} {named}"))
        request = identity_pb2.ResolveRecordRequest(request_id=made, record=record)
        return (await self._call(lambda: self._shop.identity.ResolveRecord(request))).profile_id

    async def _taken(self, touchpoint: ingest_pb2.RawTouchpoint, *, named: str) -> ingest_pb2.IngestedTouchpoint:
        request = ingest_pb2.IngestTouchpointRequest(request_id=named, touchpoint=touchpoint)
        return await self._call(lambda: self._shop.touchpoints.IngestTouchpoint(request))

    async def _taken_in(self, touchpoints: Sequence[ingest_pb2.RawTouchpoint]) -> None:
        async def batches() -> AsyncIterator[ingest_pb2.IngestTouchpointsRequest]:
            yield ingest_pb2.IngestTouchpointsRequest(batch=0, touchpoints=touchpoints)

        answers = [each async for each in self._shop.touchpoints.IngestTouchpoints(batches())]
        results = [result for answer in answers for result in answer.results]
        codes = {_CODES[result.status.code] for result in results} - {"OK"}
        assert codes <= PASSING, codes
        if codes or len(results) < len(touchpoints):
            raise NotYet(codes)
