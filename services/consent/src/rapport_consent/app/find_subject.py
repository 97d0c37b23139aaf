"""Use case: find out whom a request is about, have others leave their profile, and see that nobody else came in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.failpoints import failpoint

from rapport_consent.app.request_peers import People
from rapport_consent.app.request_ports import RequestStore
from rapport_consent.app.turn import LOOK_AGAIN, go_on, go_to
from rapport_consent.domain.request_intake import disturbed, with_subject
from rapport_consent.domain.request_stages import Stage
from rapport_consent.domain.request_words import RequestState
from rapport_consent.domain.requests import Request
from rapport_consent.domain.vault import Vault

_UNDECIDED: Final = (RequestState.RECEIVED, RequestState.VERIFIED)


@dataclass(frozen=True)
class SubjectSearch:
    """Asks identity.

    Attributes:
        store: Opens transactions.
        people: What identity knows; None where there is no identity: subjects are then named by officers.
        clock: The time.
    """

    store: RequestStore
    people: People | None
    clock: Clock

    async def search(self, request: Request) -> None:
        """Ask whom a request is about, and how surely their records are joined."""
        if request.searched:
            async with self.store.unit() as unit:
                held = await unit.requests.hold(request.id)
                await unit.requests.save(held, self.clock.now() + LOOK_AGAIN if held.pending else None)
            return
        profile_id, records = request.profile_id, request.records
        if self.people is not None:
            async with self.store.unit() as unit:
                hints = await unit.vault.get(request.id) or Vault()
            if not profile_id and (hints.hint_email or hints.hint_phone):
                profile_id = await self.people.find(hints.hint_email, hints.hint_phone, request.market)
            if profile_id:
                records = tuple(await self.people.records(profile_id))
        failpoint("request.searched")
        async with self.store.unit() as unit:
            now = await unit.requests.hold(request.id)
            if now.state not in _UNDECIDED or now.reopened != request.reopened:
                return
            found = with_subject(
                replace(now, profile_id=now.profile_id or profile_id, searched=True, stuck=""), records
            )
            await unit.requests.save(found, None)

    async def exclude(self, request: Request) -> None:
        """Have the records that an officer excluded leave the profile, for good: nothing is done about them."""
        if self.people is not None:
            await self.people.exclude(request)
        failpoint("request.excluded")
        async with self.store.unit() as unit:
            held = await unit.requests.hold(request.id)
            if held.stage == Stage.EXCLUDE.value and held.state is RequestState.RUNNING:
                await go_on(unit, held, Stage.EXCLUDE, self.clock.now())

    async def confirm(self, request: Request) -> None:
        """Compare who is frozen with who was approved; a merge or split in between gives the request back."""
        records = await self.people.records(request.profile_id) if self.people is not None else []
        failpoint("request.compared")
        async with self.store.unit() as unit:
            held = await unit.requests.hold(request.id)
            if held.stage != Stage.CONFIRM.value or held.state is not RequestState.RUNNING:
                return
            if disturbed(held, records):
                await go_to(unit, with_subject(held, records), Stage.THAW, self.clock.now())
            else:
                await go_on(unit, held, Stage.CONFIRM, self.clock.now())
