"""The saga: fulfils approved requests stage by stage, wherever it was killed.

Every stage ends in one transaction that journals what was done and what comes next; a task is published in the
transaction that journals it. What acts outside the database comes before that transaction and may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.failpoints import failpoint
from rapport_chassis.ids import new_id
from rapport_chassis.telemetry.logs import get_logger

from rapport_consent.app.erase_in_ledger import erase_in_ledger
from rapport_consent.app.ledger import Token
from rapport_consent.app.place_restriction import place_restriction
from rapport_consent.app.record_objection import record_objection
from rapport_consent.app.request_ports import Notices, People, Proofs, RequestStore, RequestUnit
from rapport_consent.app.verify_requester import NEVER
from rapport_consent.domain.law import Law
from rapport_consent.domain.request_rules import complete, conclude, pin, with_subject
from rapport_consent.domain.request_stages import Stage, after
from rapport_consent.domain.requests import (
    IdentityQuery,
    Letter,
    Outcome,
    Participant,
    ParticipantKind,
    Request,
    RequestState,
    RightState,
)
from rapport_consent.domain.rule_packs import Right
from rapport_consent.domain.tasks import AskedTask, TaskKind, TaskOutcome, latest, missing, to_ask
from rapport_consent.domain.vault import Vault

IDENTITY: Final = "identity"
"""The participant that knows which ids a person had."""

_LOOK_AGAIN: Final = timedelta(seconds=30)
_SOON: Final = timedelta(seconds=1)
_CANDIDATES: Final = 20
_ASKING: Final = {
    Stage.FREEZE_IDENTITY: TaskKind.FREEZE,
    Stage.FREEZE: TaskKind.FREEZE,
    Stage.COUNT: TaskKind.ACCESS,
    Stage.ERASE: TaskKind.ERASE,
    Stage.PROBE: TaskKind.PROBE,
    Stage.RELEASE: TaskKind.RELEASE,
}
_BY_PEOPLE: Final = (TaskKind.ACCESS, TaskKind.ERASE, TaskKind.PROBE)
_LETTERED: Final = {RequestState.REFUSED: "REFUSED", RequestState.CANCELLED: "CANCELLED"}


@dataclass(frozen=True)
class Fulfilment:
    """Works at requests, one turn after the other, in as many processes as there are.

    Attributes:
        store: Opens transactions.
        law: What the law says.
        people: What identity knows; None where there is no identity: subjects are then named by officers.
        notices: Hands letters over; None where nobody does: they wait to be printed.
        proofs: Makes packages, certificates and letters.
        clock: The time.
        vault_kept_at_most: How long an address is kept after the end of the request, should no notice ask for it.
    """

    store: RequestStore
    law: Law
    people: People | None
    notices: Notices | None
    proofs: Proofs
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
            await unit.requests.save(replace(held, stuck=error.reason.name), self.clock.now() + _LOOK_AGAIN)

    async def _look_at(self, request_id: str) -> None:
        async with self.store.unit() as unit:
            request = await unit.requests.get(request_id)
        if request.pending and await self._handed_over(request):
            return
        if request.state in (RequestState.RECEIVED, RequestState.VERIFIED):
            await self._find_subject(request)
        elif request.state is RequestState.RUNNING:
            await self._fulfil(request)
        else:
            await self._wind_up(request)

    # Before the decision

    async def _find_subject(self, request: Request) -> None:
        """Ask identity whom a request is about, and how surely their records are joined."""
        if request.searched:
            async with self.store.unit() as unit:
                held = await unit.requests.hold(request.id)
                await unit.requests.save(held, self.clock.now() + _LOOK_AGAIN if held.pending else None)
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
            if now.state not in (RequestState.RECEIVED, RequestState.VERIFIED) or now.reopened != request.reopened:
                return
            found = with_subject(
                replace(now, profile_id=now.profile_id or profile_id, searched=True, stuck=""), records
            )
            await unit.requests.save(found, None)

    async def _handed_over(self, request: Request) -> bool:
        """Hand over the letter that waits first; whether that worked: where it does not, the rest goes on."""
        kind, now = request.pending[0], self.clock.now()
        today = self.law.today(request, now)
        days = {"received_on": self.law.today(request, request.received_at)}
        due = next((each.deadline.due_on for each in self.law.dues(request) if each.right is not None), None)
        if due is not None:
            days["due_on"] = due
        try:
            async with self.store.unit() as unit:
                vault = await unit.vault.get(request.id)
                sha256 = await self.proofs.keep_letter(unit, request, kind, now)
            reachable = vault is not None and vault.notice.reachable
            notification_id = await self._sent(request, kind, days) if reachable else ""
        except RapportError as error:
            get_logger().warning("privacy_letter_stalled", request_id=request.id, reason=error.reason.name)
            return False
        failpoint("request.letter_sent")
        async with self.store.unit() as unit:
            held = await unit.requests.hold(request.id)
            letter = Letter(kind, request.locale, sha256, notification_id, now)
            queries = (IdentityQuery(today),) if kind == "IDENTITY_QUERY" and not held.verifications else ()
            told = replace(
                held,
                letters=(*held.letters, letter),
                pending=tuple(each for each in held.pending if each != kind),
                identity_queries=(*held.identity_queries, *queries),
            )
            await unit.requests.save(told, now)
        return True

    async def _sent(self, request: Request, kind: str, days: Mapping[str, date]) -> str:
        """Hand a letter to notification; empty where that sends no such letter, so that it goes by post."""
        if self.notices is None:
            return ""
        try:
            return await self.notices.send_letter(request, kind, days)
        except RapportError as error:
            if error.reason.code not in NEVER:
                raise
            get_logger().warning("privacy_letter_by_post", request_id=request.id, reason=error.reason.name)
            return ""

    # After the decision

    async def _fulfil(self, request: Request) -> None:
        stage = Stage(request.stage)
        failpoint(f"request.{stage.lower()}")
        match stage:
            case Stage.SEAL:
                await self._seal(request)
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
                await self._next(unit, await self._apply(unit, request, now), stage, now)
            case Stage.REVIEW:
                waiting = any(
                    each.right in (Right.RECTIFICATION, Right.CONTEST) and each.state is RightState.APPROVED
                    for each in request.rights
                )
                await (self._wait(unit, request, None) if waiting else self._next(unit, request, stage, now))
            case Stage.FENCE:
                token = await erase_in_ledger(unit.ledger, request.closure_ids, request.id, now=now)
                if token is None:
                    await self._wait(unit, request, now + _SOON)
                    return
                fenced = replace(request, epoch=token.epoch, position=token.position)
                await unit.log(fenced, "FENCED", f"{request.id}/fenced", {"ids": str(len(request.closure_ids))})
                await self._next(unit, fenced, stage, now)
            case Stage.CERTIFY:
                await self._certify(unit, request, now)
            case Stage.CLOSE:
                await self._close(unit, request, now)
            case _:
                await self._ask(unit, request, stage, now)

    async def _apply(self, unit: RequestUnit, request: Request, now: datetime) -> Request:
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

    async def _ask(self, unit: RequestUnit, request: Request, stage: Stage, now: datetime) -> None:
        """Ask whoever has to answer in a stage, again if need be; go on once all have."""
        kind, participants = _ASKING[stage], _asked_in(stage, request.participants)
        tasks = await unit.tasks.of(request.id)
        asked = latest(tasks, kind)
        again: Iterable[str] = ()
        if stage is Stage.ERASE:
            ready, again = await self._holds(unit, request, asked)
            if not ready:
                await self._wait(unit, request, None)
                return
        token = Token(request.epoch, request.position) if request.position else await unit.head()
        for participant, attempt in to_ask(participants, asked, now, again=again):
            task = AskedTask(
                task_id=new_id("task"),
                request_id=request.id,
                participant=participant.name,
                participant_kind=participant.kind,
                kind=kind,
                attempt=attempt,
                asked_at=now,
                due_at=now + timedelta(days=participant.days),
            )
            await unit.tasks.ask(task, request.subject_ids, token)
            asked[participant.name] = task
        if missing(participants, asked):
            await self._wait(unit, request, now + _LOOK_AGAIN)
        elif stage is Stage.ERASE and await self._held_up(unit, request, asked):
            await self._wait(unit, request, None)
        else:
            if stage is Stage.FREEZE_IDENTITY:
                pinned = await self._pin(unit, request, asked, now)
                if pinned is None:
                    return
                request = pinned
            await self._next(unit, request, stage, now)

    async def _pin(
        self, unit: RequestUnit, request: Request, asked: dict[str, AskedTask], now: datetime
    ) -> Request | None:
        """Pin every id that identity named; None while another request of the same person runs."""
        answers = [task.answer for task in asked.values() if task.answer is not None]
        pinned = pin(request, [each for answer in answers for each in answer.closure_ids])
        rights = [each.right for each in pinned.rights if pinned.asks(each.right)]
        if await unit.requests.claim(pinned, pinned.closure_ids, rights):
            await self._wait(unit, pinned, now + _LOOK_AGAIN)
            return None
        return pinned

    async def _holds(
        self, unit: RequestUnit, request: Request, asked: dict[str, AskedTask]
    ) -> tuple[bool, Iterable[str]]:
        """Whether every participant knows of every hold and release, and who is to erase again what was released."""
        again: set[str] = set()
        for hold in await unit.holds.of(request.subject_ids):
            told = await unit.tasks.of(hold.task_request_id)
            if any(task.answer is None for task in told):
                return False, ()
            for task in told:
                last = asked.get(task.participant)
                kept = last is not None and last.answer is not None and last.answer.kept
                if task.kind is TaskKind.UNHOLD and kept and last is not None and last.asked_at < task.asked_at:
                    again.add(task.participant)
        return True, again

    async def _held_up(self, unit: RequestUnit, request: Request, asked: dict[str, AskedTask]) -> bool:
        """Whether something was kept for a hold that still stands."""
        standing = {hold.ground for hold in await unit.holds.of(request.subject_ids) if hold.stands}
        return any(
            kept.ground in standing for task in asked.values() if task.answer is not None for kept in task.answer.kept
        )

    async def _seal(self, request: Request) -> None:
        async with self.store.unit() as unit:
            tasks = await unit.tasks.of(request.id)
        held = await self.proofs.seal_packages(request, tasks)
        failpoint("request.sealed")
        async with self.store.unit() as unit:
            now = await unit.requests.hold(request.id)
            if now.stage != Stage.SEAL.value or now.state is not RequestState.RUNNING:
                return
            for right, anything in held.items():
                now = conclude(now, right, Outcome.DONE if anything else Outcome.NOTHING_HELD)
                await unit.log(now, "PACKAGE_SEALED", f"{request.id}/sealed/{right.value}", {"right": right.value})
            await self._next(unit, now, Stage.SEAL, self.clock.now())

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
            await self._next(unit, held, Stage.CAPTURE, self.clock.now())

    async def _certify(self, unit: RequestUnit, request: Request, now: datetime) -> None:
        tasks = await unit.tasks.of(request.id)
        erased = [task.answer for task in latest(tasks, TaskKind.ERASE).values() if task.answer is not None]
        if any(answer.kept for answer in erased):
            outcome = Outcome.PARTIAL
        elif all(answer.outcome is TaskOutcome.NOTHING_HELD for answer in erased):
            outcome = Outcome.NOTHING_HELD
        else:
            outcome = Outcome.DONE
        certificate_id = await self.proofs.certify(unit, request, tasks, now)
        await unit.log(request, "CERTIFIED", certificate_id, {"outcome": outcome.value})
        await self._next(unit, conclude(request, Right.ERASURE, outcome), Stage.CERTIFY, now)

    async def _close(self, unit: RequestUnit, request: Request, now: datetime) -> None:
        for each in request.rights:  # whoever is not known has nothing here
            if each.state is RightState.APPROVED:
                request = conclude(request, each.right, Outcome.NOTHING_HELD)
        closed = complete(request, now)
        nothing = all(each.outcome in (None, Outcome.NOTHING_HELD) for each in closed.rights)
        await self.proofs.keep_letter(unit, closed, "NOTHING_HELD" if nothing else "COMPLETION", now)
        partial = any(each.outcome is Outcome.PARTIAL or each.state is RightState.REFUSED for each in closed.rights)
        await self._told(unit, closed, "PARTIAL" if partial else "COMPLETED", now)

    async def _wind_up(self, request: Request) -> None:
        """After the end: tell everybody once, then empty the vault."""
        async with self.store.unit() as unit:
            held, now = await unit.requests.hold(request.id), self.clock.now()
            if held.stage == Stage.RELEASE.value:
                await self._ask(unit, held, Stage.RELEASE, now)
            elif held.state in _LETTERED and held.stage != "CLOSED":
                await self._told(unit, held, _LETTERED[held.state], now)
            else:
                await unit.vault.destroy(held.id)
                await unit.forget_openings(held.id)
                await unit.requests.save(held, None)
        failpoint("request.wound_up")

    async def _told(self, unit: RequestUnit, request: Request, outcome: str, now: datetime) -> None:
        await unit.requests.unclaim(request.id)
        await unit.log(request, "CLOSED", f"{request.id}/closed", {"outcome": outcome})
        await unit.closed(request, outcome, now)
        vault = await unit.vault.get(request.id)
        kept = self.vault_kept_at_most if vault is not None and vault.notice.reachable else timedelta()
        await unit.requests.save(replace(request, stage="CLOSED"), now + kept)
        get_logger().info("privacy_request_closed", request_id=request.id, outcome=outcome)

    async def _next(self, unit: RequestUnit, request: Request, stage: Stage, now: datetime) -> None:
        following = after(stage, request) if request.is_open else Stage.CLOSE
        await unit.requests.save(replace(request, stage=following.value, stuck=""), now)

    async def _wait(self, unit: RequestUnit, request: Request, until: datetime | None) -> None:
        await unit.requests.save(replace(request, stuck=""), until)


def _asked_in(stage: Stage, participants: Sequence[Participant]) -> list[Participant]:
    """Return who has to answer in a stage: identity freezes first, and people are not asked to hold still."""
    kind = _ASKING[stage]
    able = [each for each in participants if each.kind is ParticipantKind.EVENT or kind in _BY_PEOPLE]
    if stage is Stage.FREEZE_IDENTITY:
        return [each for each in able if each.name == IDENTITY]
    if stage is Stage.FREEZE:
        return [each for each in able if each.name != IDENTITY]
    return able
