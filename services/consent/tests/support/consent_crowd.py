"""People who say yes and no, turn out to be one another, and are erased: writers that nothing stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import nats.errors
from consent_desk import Desk, answers, profile, request_id, withdrawal
from consent_events import Identity, merge, split
from consent_imports import header, row
from rapport.consent.v1 import consent_pb2
from rapport_chassis.events.jetstream import JetStreamError
from rapport_chassis.events.wire import WireError
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.times import stamp
from rapport_testing.gate_history.chronicle import Question

ASKED = (
    ("promo", ""),
    ("news", "north"),
    ("news", "south"),
    ("stats", ""),
    ("fraud", ""),
    ("order", ""),
    ("books", ""),
)
_FAMILY = 4
_PAUSE_S = (0.02, 0.3)
_ANSWER_S = 2.0
_AGAIN = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "RESOURCE_EXHAUSTED")
_AWAY = (OSError, TimeoutError, WireError, JetStreamError, nats.errors.Error)


class Crowd:
    """Families whose members may turn out to be one another. Each is written about by one writer, one thing at a time.

    Attributes:
        written: How many things were written, and answered.
    """

    def __init__(self, desks: Sequence[Desk], families: int, seed: int) -> None:
        self._random = Random(seed)
        self._families = [Family(desks, self._random) for _ in range(families)]
        self._stopping = asyncio.Event()
        self._may_erase = families // 3
        self.written = 0

    def questions(self) -> list[Question]:
        """Everything that can be asked about them."""
        return [Question(person, *asked) for family in self._families for person in family.ids for asked in ASKED]

    async def live(self) -> None:
        """Let all of them go on until told to stop; what was begun is finished."""
        await asyncio.gather(*(self._live(family) for family in self._families))

    def stop(self) -> None:
        """Let nothing new begin."""
        self._stopping.set()

    async def _live(self, family: Family) -> None:
        while not self._stopping.is_set() and not family.is_erased:
            if self._may_erase and self._random.random() < 0.01:
                self._may_erase -= 1
                await family.erase()
            else:
                await family.act()
            self.written += 1
            await asyncio.sleep(self._random.uniform(*_PAUSE_S))


class Family:
    """Some ids, and which of them are one person by now. Whichever process does not answer, another is called."""

    def __init__(self, desks: Sequence[Desk], random: Random) -> None:
        self._desks = desks
        self._identity = Identity(desks[0].installation)
        self._random = random
        self._version = 1
        self._survivor_of: dict[str, str] = {}
        self.ids = [profile() for _ in range(_FAMILY)]
        self.is_erased = False
        self._acts: dict[Callable[[], Awaitable[Any]], int] = {
            self._answer: 40,
            self._withdraw: 25,
            self._object: 10,
            self._restrict: 3,
            self._lift: 8,
            self._import: 4,
            self._merge: 6,
            self._split: 4,
        }

    async def act(self) -> None:
        """Do one thing, and wait until it is answered."""
        await self._random.choices([*self._acts], [*self._acts.values()])[0]()

    async def erase(self) -> None:
        """Erase one of the people; nothing is written about the family after that."""
        self.is_erased = True
        request = consent_pb2.RaiseFenceRequest(
            request_id=request_id(), profile_id=self._anybody(), privacy_request_id=new_id("privacy_request")
        )
        await self._send(lambda desk: desk.office.RaiseFence, request)

    async def _answer(self) -> None:
        items = self._random.sample(("promo", "news north", "news south", "stats"), self._random.randint(1, 3))
        said = [f"{'yes' if self._random.random() < 0.75 else 'no'} {item}" for item in items]
        await self._send(lambda desk: desk.shop.RecordConsent, answers(self._anybody(), *said))

    async def _withdraw(self) -> None:
        purposes = self._random.choice((["promo"], ["news"], ["stats"], []))
        await self._send(lambda desk: desk.shop.WithdrawConsent, withdrawal(self._anybody(), *purposes))

    async def _object(self) -> None:
        purposes = self._random.choice((["fraud"], ["promo"], []))
        request = consent_pb2.RecordObjectionRequest(
            request_id=request_id(), profile_id=self._anybody(), purpose_ids=purposes, direct_marketing=not purposes
        )
        await self._send(lambda desk: desk.shop.RecordObjection, request)

    async def _restrict(self) -> None:
        request = consent_pb2.PlaceRestrictionRequest(
            request_id=request_id(), profile_id=self._anybody(), ground="CLAIMS"
        )
        await self._send(lambda desk: desk.office.PlaceRestriction, request)

    async def _lift(self) -> None:
        request = consent_pb2.LiftRestrictionRequest(
            request_id=request_id(), profile_id=self._anybody(), subject_told_at=stamp(datetime.now(UTC))
        )
        await self._send(lambda desk: desk.office.LiftRestriction, request)

    async def _import(self) -> None:
        """An import that was cut is not taken up again: how much of it was written is for the ledger to say."""
        rows = [row(number, "promo", self._anybody()) for number in range(3)]
        try:
            await self._random.choice(self._desks).import_rows(header(), rows)
        except RemoteError as error:
            if error.reason.code not in _AGAIN:
                raise

    async def _merge(self) -> None:
        survivor, other = self._current(self._anybody()), self._current(self._anybody())
        if survivor == other:
            return
        self._survivor_of |= {each: survivor for each in self.ids if self._current(each) == other}
        self._version += 1
        await self._tell(merge(survivor, *self._absorbed(survivor), version=self._version))

    async def _split(self) -> None:
        if not self._survivor_of:
            return
        leaving = self._random.choice(sorted(self._survivor_of))
        survivor = self._survivor_of.pop(leaving)
        self._version += 1
        results: dict[str, Sequence[str]] = {survivor: self._absorbed(survivor), leaving: []}
        await self._tell(split(survivor, results, version=self._version))

    async def _send(self, method: Callable[[Desk], Callable[..., Awaitable[Any]]], request: Any) -> None:
        """Send a request, under its one id, until it is answered."""
        while True:
            try:
                await method(self._random.choice(self._desks))(request, timeout=_ANSWER_S)
            except RemoteError as error:
                if error.reason.name == "ACTOR_TOKEN_EXPIRED":
                    self._desks = [desk.logged_in_again() for desk in self._desks]
                elif error.reason.code not in _AGAIN:
                    raise
                await asyncio.sleep(self._random.uniform(*_PAUSE_S))
            else:
                return

    async def _tell(self, event: Any) -> None:
        """Publish an event of identity until the broker has it: one that has it already does not take it again."""
        while True:
            try:
                await asyncio.wait_for(self._identity.publish(event), _ANSWER_S)
            except _AWAY:
                await asyncio.sleep(_PAUSE_S[1])
            else:
                return

    def _anybody(self) -> str:
        return self._random.choice(self.ids)

    def _current(self, person: str) -> str:
        return self._survivor_of.get(person, person)

    def _absorbed(self, survivor: str) -> list[str]:
        return [each for each, to in self._survivor_of.items() if to == survivor]
