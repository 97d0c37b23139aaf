"""The saga: fulfils approved requests stage by stage, wherever it was killed.

Every stage ends in one transaction that journals what was done and what comes next; a task is published in the
transaction that journals it. What acts outside the database comes before that transaction and may be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.failpoints import failpoint
from rapport_chassis.telemetry.logs import get_logger

from rapport_consent.app.ask_participants import ask_participants
from rapport_consent.app.end_request import CLOSED, LETTERED, certify_erasure, close_request, empty_vault, tell_of_end
from rapport_consent.app.erase_in_ledger import erase_in_ledger
from rapport_consent.app.find_subject import SubjectSearch
from rapport_consent.app.hand_over_letter import LetterBox
from rapport_consent.app.place_restriction import place_restriction
from rapport_consent.app.record_objection import record_objection
from rapport_consent.app.request_peers import People, Proofs
from rapport_consent.app.request_ports import RequestStore, RequestUnit
from rapport_consent.app.review_decision import DecisionReviewing
from rapport_consent.app.turn import LOOK_AGAIN, go_on, wait
from rapport_consent.domain.request_rules import conclude
from rapport_consent.domain.request_stages import Stage
from rapport_consent.domain.request_words import Outcome, RequestState, RightState
from rapport_consent.domain.requests import Request
from rapport_consent.domain.rule_packs import Right
from rapport_consent.domain.vault import Vault

_SOON: Final = timedelta(seconds=1)
_CANDIDATES: Final = 20


@dataclass(frozen=True)
class Fulfilment:
    """Works at requests, one turn after the other, in as many processes as there are.

    Attributes:
        store: Opens transactions.
        people: What identity knows; None where there is no identity: subjects are then named by officers.
        subjects: Finds out whom requests are about.
        letters: Where letters are handed over.
        proofs: Makes packages, certificates and letters.
        reviewing: Has contested decisions reviewed.
        clock: The time.
        vault_kept_at_most: How long an address is kept after the end of the request, should no notice ask for it.
    """

    store: RequestStore
    people: People | None
    subjects: SubjectSearch
    letters: LetterBox
    proofs: Proofs
    reviewing: DecisionReviewing
    clock: Clock
    vault_kept_at_most: timedelta

    async def step(self) -> bool:
        """Take one turn at the request that waits longest; return whether there was one.

        Raises:
            RapportError: The database, or another service, cannot be reached; what was not finished is taken up again.
        """
        async with self.store.unit() as unit:
            candidates = await unit.requests.due(self.clock.now(), _CANDIDATES)
        for request_id in candidates:
            async with self.store.turn(request_id) as free:
                if free:
                    try:
                        await self._look_at(request_id)
                    except RapportError as error:
                        await self._stall(request_id, error)
                    return True
        return False

    async def _stall(self, request_id: str, error: RapportError) -> None:
        """Leave a request for later, and say why: others are not to wait for it."""
        get_logger().warning("privacy_request_stalled", request_id=request_id, reason=error.reason.name)
        async with self.store.unit() as unit:
            held = await unit.requests.hold(request_id)
            await unit.requests.save(replace(held, stuck=error.reason.name), self.clock.now() + LOOK_AGAIN)

    async def _look_at(self, request_id: str) -> None:
        async with self.store.unit() as unit:
            request = await unit.requests.get(request_id)
        if request.pending and await self.letters.hand_over(request):
            return
        if request.state in (RequestState.RECEIVED, RequestState.VERIFIED):
            await self.subjects.search(request)
        elif request.state is RequestState.RUNNING:
            await self._fulfil(request)
        else:
            await self._wind_up(request)

    async def _fulfil(self, request: Request) -> None:
        stage = Stage(request.stage)
        failpoint(f"request.{stage.lower()}")
        match stage:
            case Stage.EXCLUDE:
                await self.subjects.exclude(request)
            case Stage.CONFIRM:
                await self.subjects.confirm(request)
            case Stage.SEAL:
                await self._seal(request)
            case Stage.REVIEW:
                await self.reviewing.step(request)
            case Stage.CAPTURE:
                await self._capture(request)
            case _:
                async with self.store.unit() as unit:
                    held = await unit.requests.hold(request.id)
                    if held.stage == stage.value and held.state is RequestState.RUNNING:
                        await self._move(unit, held, stage)
                    failpoint(f"request.{stage.lower()}.committing")
        failpoint(f"request.{stage.lower()}.done")

    async def _move(self, unit: RequestUnit, request: Request, stage: Stage) -> None:
        now = self.clock.now()
        match stage:
            case Stage.APPLY:
                await go_on(unit, await _apply(unit, request, now), stage, now)
            case Stage.FENCE:
                await _fence(unit, request, now)
            case Stage.CERTIFY:
                await certify_erasure(unit, request, self.proofs, now)
            case Stage.CLOSE:
                await close_request(unit, request, self.proofs, self.vault_kept_at_most, now)
            case _:
                await ask_participants(unit, request, stage, now)

    async def _seal(self, request: Request) -> None:
        async with self.store.unit() as unit:
            tasks = await unit.tasks.of(request.id)
            papers = await self.proofs.package_papers(unit, request)
        held = await self.proofs.seal_packages(request, tasks, papers)
        failpoint("request.sealed")
        async with self.store.unit() as unit:
            now = await unit.requests.hold(request.id)
            if now.stage != Stage.SEAL.value or now.state is not RequestState.RUNNING:
                return
            for right, anything in held.items():
                now = conclude(now, right, Outcome.DONE if anything else Outcome.NOTHING_HELD)
                await unit.log(now, "PACKAGE_SEALED", f"{request.id}/sealed/{right.value}", {"right": right.value})
            await unit.handed.destroy(request.id)
            await go_on(unit, now, Stage.SEAL, self.clock.now())

    async def _capture(self, request: Request) -> None:
        """Take the address on file into the vault, before what it is read from is gone."""
        captured = None
        if self.people is not None and request.profile_id:
            captured = await self.people.contact(request.profile_id, request.market, request.brand_id)
        failpoint("request.captured")
        async with self.store.unit() as unit:
            held = await unit.requests.hold(request.id)
            if held.stage != Stage.CAPTURE.value or held.state is not RequestState.RUNNING:
                return
            if captured is not None and captured.reachable:
                vault = await unit.vault.get(request.id) or Vault()
                await unit.vault.put(request.id, replace(vault, captured=captured))
            await go_on(unit, held, Stage.CAPTURE, self.clock.now())

    async def _wind_up(self, request: Request) -> None:
        """After the end: tell everybody once, then empty the vault."""
        async with self.store.unit() as unit:
            held, now = await unit.requests.hold(request.id), self.clock.now()
            if held.stage == Stage.RELEASE.value:
                await ask_participants(unit, held, Stage.RELEASE, now)
            elif held.state in LETTERED and held.stage != CLOSED:
                await tell_of_end(unit, held, LETTERED[held.state], self.vault_kept_at_most, now)
            else:
                await empty_vault(unit, held)
        failpoint("request.wound_up")


async def _apply(unit: RequestUnit, request: Request, now: datetime) -> Request:
    """Enter objections and restrictions into the ledger: they hold from here on."""
    for asked in request.rights:
        if asked.state is not RightState.APPROVED:
            continue
        if asked.right is Right.OBJECTION:
            await record_objection(
                unit.ledger,
                request.profile_id,
                asked.purpose_ids,
                request.brand_id,
                occurred_at=request.received_at,
                now=now,
            )
        elif asked.right is Right.RESTRICTION:
            await place_restriction(unit.ledger, request.profile_id, asked.ground, now=now)
        else:
            continue
        request = conclude(request, asked.right, Outcome.DONE)
    return request


async def _fence(unit: RequestUnit, request: Request, now: datetime) -> None:
    """Record the erasure, and fence every id, before anybody deletes anything."""
    token = await erase_in_ledger(unit.ledger, request.closure_ids, request.id, now=now)
    if token is None:
        await wait(unit, request, now + _SOON)
        return
    fenced = replace(request, epoch=token.epoch, position=token.position)
    reference = f"{request.id}/fenced" + ("/again" if request.position else "")
    await unit.log(fenced, "FENCED", reference, {"ids": str(len(request.closure_ids))})
    await go_on(unit, fenced, Stage.FENCE, now)
