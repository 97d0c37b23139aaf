"""One person who asks for everything while everything goes wrong, and what must be true at every step of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from consent_matrix import HOLDERS, REGISTRY, Parts, new_note, nothing_held
from rapport_chassis.errors import RapportError
from rapport_chassis.ids import new_id
from rapport_consent.app.decide_request import approve_request, choose_record
from rapport_consent.app.hold_records import place_hold, release_hold
from rapport_consent.app.take_answer import take_answer
from rapport_consent.app.take_request import take_request
from rapport_consent.app.verify_requester import show
from rapport_consent.domain.holds import HeldRecords, Hold
from rapport_consent.domain.request_words import (
    Channel,
    Choice,
    Method,
    ParticipantKind,
    RequestState,
    RightState,
    Role,
)
from rapport_consent.domain.requests import Asked, Request, Verification
from rapport_consent.domain.rule_packs import Right
from rapport_consent.domain.vault import Vault
from rapport_consent.translate.tasks import answer_of
from rapport_privacy.participant import living

TURNS: Final = 6000
"""More than any story takes: one that takes more has stopped."""

_FREE: Final = ("", "APPLY", "EXCLUDE")


@dataclass
class Story:
    """Two requests of one person, by two of their ids; a merge, a split and a hold that race with them.

    Attributes:
        parts: All that takes part.
        rng: Decides what happens next.
        ids: The person's ids: the survivor, and one absorbed.
        near: Somebody who may be merged with them, while nobody is frozen.
        came: Whose record comes while the person is frozen, and is theirs.
        stranger: Somebody who has nothing to do with it.
    """

    parts: Parts
    rng: random.Random
    ids: list[str] = field(default_factory=lambda: [new_id("profile") for _ in range(2)])
    near: str = field(default_factory=lambda: new_id("profile"))
    came: str = field(default_factory=lambda: new_id("profile"))
    stranger: str = field(default_factory=lambda: new_id("profile"))
    merged: bool = False
    requests: list[str] = field(default_factory=list)
    hold: Hold | None = None
    held_note: str = ""
    reopened: int = 0
    _noted: bool = False

    async def begin(self) -> None:
        """Have everybody hold something about everybody, and take the requests in."""
        self.address = f"{self.ids[0].lower()}@example.com"
        for each in self.ids:
            await self._note("identity", each, self.address)
            await self._note("churn", each, "likes red")
        for each in (self.near, self.stranger):
            await self._note("identity", each, f"{each.lower()}@example.com")
            await self._note("churn", each, "likes blue")
        self.doubtful = await self._note("identity", self.ids[0], f"maybe {self.stranger}")
        self.held_note = await self._note("churn", self.ids[1], "owes us")
        self.parts.tell_of_merge(*self.ids)
        for person, rights in ((self.ids[0], (Right.ACCESS, Right.ERASURE)), (self.ids[1], (Right.ERASURE,))):
            await self._ask(person, rights)

    async def run(self) -> None:
        """Go on until both requests have ended, and look at every step."""
        for _ in range(TURNS):
            if self.rng.random() < 0.15:
                await self._something_happens()
            if not await self._somebody_works():
                if await self._ended():
                    return
                self.parts.clock.advance(31)
                await self._officers_work()
            elif self.parts.acted:
                await self.assert_nothing_is_wrong()
        raise AssertionError(
            f"after {TURNS} turns it has not ended: {[await self._get(each) for each in self.requests]}"
        )

    async def assert_nothing_is_wrong(self) -> None:
        """What holds at every step."""
        held = await self._rows("churn", "SELECT FROM privacy_held WHERE profile_id = ANY (%s)", self.ids)
        notes = await self._rows("churn", "SELECT note_id FROM notes WHERE profile_id = ANY (%s)", self.ids)
        there = self.held_note in {note_id for (note_id,) in notes}
        assert not self._noted or not held or there, "deleted under a live hold"
        self._noted = self._noted or (bool(held) and there)
        requests = [await self._get(each) for each in self.requests]
        if len(notes) < 3:
            first = requests[0]
            assert not first.position or first.of(Right.ACCESS).state is RightState.FULFILLED, "erased before sealed"  # type: ignore[union-attr]
            fenced = await self._rows("consent", "SELECT FROM fences WHERE profile_id = ANY (%s)", self.ids)
            assert len(fenced) == 2, "erased before fenced"
        pinned = [each for each in requests if each.state is RequestState.RUNNING and self._past_pin(each)]
        assert len(pinned) < 2, "two erasures of one person run"

    async def assert_ended_well(self) -> None:
        """What holds in the end."""
        theirs = [*self.ids, *([self.near] if self.merged else []), self.came]
        for name in HOLDERS:
            left = await self._rows(name, "SELECT profile_id, words FROM notes WHERE profile_id = ANY (%s)", theirs)
            assert left == [], (name, [theirs.index(person) for person, _ in left])
            assert await self._rows(name, "SELECT FROM notes WHERE profile_id = ANY (%s)", [self.stranger])
            assert not await self._rows(
                name, "SELECT FROM privacy_freezes WHERE profile_id = ANY (%s)", [self.stranger]
            )
        assert await self._rows("identity", "SELECT FROM notes WHERE note_id = ANY (%s)", [self.doubtful])
        assert not await self._rows("consent", "SELECT FROM privacy_active_rights WHERE profile_id = ANY (%s)", theirs)
        ended = [await self._get(each) for each in self.requests]
        assert all(right.state is RightState.FULFILLED for each in ended for right in each.rights)
        for name in ("privacy_certificates", "privacy_packages"):
            assert await self._rows("consent", f"SELECT FROM {name} WHERE request_id = ANY (%s)", self.requests)

    async def _somebody_works(self) -> bool:
        """Let whoever is drawn work, or else anybody; whether there was anything to do."""
        workers: list[Any] = [
            self.parts.coordinator_works,
            self.parts.deliver,
            self.parts.caller_works,
            *((lambda name=name: self.parts.participant_works(name)) for name in HOLDERS),
        ]
        self.rng.shuffle(workers)
        for worker in workers:
            if await worker():
                return True
        return False

    async def _something_happens(self) -> None:
        await self.rng.choice((self._merge, self._split, self._hold, self._release, self._come, self._officers_work))()

    async def _merge(self) -> None:
        """Identity finds that somebody else is the person, too; not while they are held still."""
        if not self.merged and not await self._frozen():
            self.merged = True
            await self._rename(self.near, self.address)
            self.parts.tell_of_merge(self.ids[0], self.ids[1], self.near)

    async def _split(self) -> None:
        """And finds that it was wrong."""
        if self.merged and not await self._frozen():
            self.merged = False
            await self._rename(self.near, f"{self.near.lower()}@example.com")
            self.parts.tell_of_split(self.ids[0], [self.ids[1]], self.near)

    async def _come(self) -> None:
        """A record of the person comes in while they are held still."""
        known = await self._rows("churn", "SELECT FROM notes WHERE profile_id = ANY (%s)", [self.came])
        if not known and await self._frozen() and not await self._tombstones():
            await self._note("identity", self.came, f"parked {self.address}")
            await self._note("churn", self.came, "likes green")

    async def _hold(self) -> None:
        if self.hold is None:
            now = self.parts.clock.now()
            records = (HeldRecords("churn", "notes", (self.held_note,)),)
            self.hold = Hold(
                id=new_id("hold"),
                task_request_id=new_id("privacy_request"),
                profile_id=self.ids[1],
                records=records,
                matter_id="case-7",
                ground="LEGAL_CLAIM",
                review_at=now + timedelta(days=90),
                placed_at=now,
                placed_by="officer-1",
            )
            async with self.parts.store.unit() as unit:
                await place_hold(unit, self.hold, REGISTRY)

    async def _release(self) -> None:
        if self.hold is not None and self.hold.stands:
            async with self.parts.store.unit() as unit:
                self.hold = await release_hold(unit, self.hold.id, "officer-1", REGISTRY, self.parts.clock.now())

    async def _officers_work(self) -> None:
        """Have officers choose, approve, look in the cellar, and let go of what is held."""
        for request_id in self.requests:
            request = await self._get(request_id)
            now = self.parts.clock.now()
            if request.state is RequestState.VERIFIED and request.searched:
                self.reopened = max(self.reopened, request.reopened)
                for record in request.undecided_records:
                    async with self.parts.store.unit() as unit:
                        await choose_record(unit, request_id, record.ref, Choice.EXCLUDED, "officer-1")
                try:
                    async with self.parts.store.unit() as unit:
                        await approve_request(unit, request_id, "officer-2", REGISTRY, now)
                except RapportError as error:
                    if error.reason.name not in ("DUPLICATE_REQUEST", "NOBODY_LEFT"):
                        raise
            async with self.parts.store.unit() as unit:
                for task in await unit.tasks.of(request_id):
                    if task.answer is None and task.participant_kind is ParticipantKind.MANUAL:
                        await take_answer(unit, answer_of(nothing_held(request_id, task, now)), now, "officer-1")
        await self._release()

    async def _ask(self, person: str, rights: tuple[Right, ...]) -> None:
        now = self.parts.clock.now()
        request = Request(
            id=new_id("privacy_request"),
            rights=tuple(map(Asked, rights)),
            received_at=now,
            channel=Channel.WEB,
            role=Role.SUBJECT,
            market="DE",
            market_reason="RESIDENCE",
            locale="de",
            rule_pack=self.parts.law.in_force("DE", now).name,
            created_by="shop",
            created_at=now,
            profile_id=person,
        )
        async with self.parts.store.unit() as unit:
            taken = await take_request(unit, request, Vault(), self.parts.law, now)
            await show(unit, taken, Verification(Method.LOGIN, now, "shop"), person, self.parts.law, now)
        self.requests.append(request.id)

    async def _ended(self) -> bool:
        return {(await self._get(each)).stage for each in self.requests} == {"CLOSED"}

    async def _get(self, request_id: str) -> Request:
        async with self.parts.store.unit() as unit:
            return await unit.requests.get(request_id)

    def _past_pin(self, request: Request) -> bool:
        return bool(request.closure_ids) and request.stage not in (*_FREE, "FREEZE_IDENTITY", "CONFIRM", "THAW")

    async def _frozen(self) -> bool:
        async with self.parts.holders["identity"].transaction() as connection:
            return bool(await living.frozen(connection, [*self.ids, self.near]))

    async def _tombstones(self) -> bool:
        return bool(
            await self._rows("identity", "SELECT FROM privacy_tombstones WHERE profile_id = ANY (%s)", self.ids)
        )

    async def _rename(self, person: str, words: str) -> None:
        async with self.parts.holders["identity"].transaction() as connection:
            await connection.execute("UPDATE notes SET words = %s WHERE profile_id = %s", (words, person))

    async def _note(self, name: str, person: str, words: str) -> str:
        note_id = new_note()
        async with self.parts.holders[name].transaction() as connection:
            values = (note_id, person, words)
            await connection.execute("INSERT INTO notes (note_id, profile_id, words) VALUES (%s, %s, %s)", values)
        return note_id

    async def _rows(self, name: str, query: str, ids: list[str]) -> list[tuple[Any, ...]]:
        async with self.parts.holders.get(name, self.parts.consent).transaction() as connection:
            return await (await connection.execute(query.encode(), (ids,))).fetchall()
