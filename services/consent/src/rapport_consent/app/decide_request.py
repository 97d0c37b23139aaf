"""Use cases: what operators decide about a privacy request."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from rapport_consent.app.request_ports import RequestUnit
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.law import Law
from rapport_consent.domain.request_decisions import approve, cancel, extend, prepared_by, refuse
from rapport_consent.domain.request_intake import choose
from rapport_consent.domain.request_rules import conclude
from rapport_consent.domain.request_stages import Stage, first
from rapport_consent.domain.request_words import Choice, Outcome, RequestState
from rapport_consent.domain.requests import Extension, Note, Participant, Request
from rapport_consent.domain.rule_packs import Right

_EXTENSION = "EXTENSION"
_REFUSAL = "REFUSAL"


async def approve_request(
    unit: RequestUnit, request_id: str, actor: str, participants: Sequence[Participant], now: datetime
) -> Request:
    """Approve what is not refused; from here on the saga works at it.

    Raises:
        RapportError: REQUEST_NOT_FOUND, REQUEST_STATE, REQUESTER_NOT_VERIFIED, SAME_ACTOR, RECORDS_UNDECIDED,
            REFUSAL_UNCONFIRMED; DUPLICATE_REQUEST: another one runs for the same person and right.
    """
    request = await unit.requests.hold(request_id)
    approved = approve(request, actor, participants, now)
    approved = replace(approved, stage=first(approved).value)
    if approved.profile_id:
        rights = [each.right for each in approved.rights if approved.asks(each.right)]
        if other := await unit.requests.claim(approved, [approved.profile_id], rights):
            raise ERRORS.error(
                "DUPLICATE_REQUEST", "another request of this person is running", metadata={"request_id": other}
            )
    await unit.requests.save(approved, now)
    await unit.log(approved, "APPROVED", f"{request_id}/approved", {"participants": str(len(participants))})
    return approved


async def refuse_request(
    unit: RequestUnit,
    request_id: str,
    rights: Collection[Right],
    *,
    ground: str,
    text: str,
    tells: Sequence[str],
    evidence: Sequence[str],
    actor: str,
    law: Law,
    now: datetime,
) -> Request:
    """Refuse rights on a ground of the law, with what a refusal must tell.

    Raises:
        RapportError: REQUEST_NOT_FOUND, REQUEST_STATE, REFUSAL_NOT_ALLOWED, REFUSAL_INCOMPLETE, SAME_ACTOR.
    """
    request = await unit.requests.hold(request_id)
    refused = refuse(
        request,
        rights,
        ground=ground,
        text=text,
        tells=tells,
        evidence=evidence,
        actor=actor,
        now=now,
        pack=law.of(request),
    )
    if refused.state is not RequestState.REFUSED:
        await unit.requests.touch(refused)
        return refused
    refused = replace(refused, pending=(*refused.pending, _REFUSAL))
    await unit.requests.save(refused, now)
    await unit.log(refused, "REFUSED", f"{request_id}/refused", {"ground": ground})
    return refused


async def extend_request(
    unit: RequestUnit, request_id: str, ground: str, actor: str, law: Law, now: datetime
) -> Request:
    """Extend the time; the person is told by a letter that is handed over at once.

    Raises:
        RapportError: REQUEST_NOT_FOUND, REQUEST_STATE, EXTENSION_NOT_ALLOWED.
    """
    request = await unit.requests.hold(request_id)
    told_on, pack = law.today(request, now), law.of(request)
    in_time = law.clocks.may_extend(request, pack, told_on)
    extended = extend(request, Extension(ground, told_on, actor), pack, in_time=in_time)
    extended = replace(extended, pending=(*extended.pending, _EXTENSION))
    await unit.requests.save(extended, now)
    await unit.log(extended, "EXTENDED", f"{request_id}/extended", {"ground": ground})
    return extended


async def cancel_request(unit: RequestUnit, request_id: str, now: datetime) -> Request:
    """Close a request that was taken back; what was held still is let go by the saga.

    Raises:
        RapportError: REQUEST_NOT_FOUND; REQUEST_STATE: it is closed, or its erasure has begun.
    """
    request = await unit.requests.hold(request_id)
    cancelled = cancel(request, now)
    frozen = request.stage not in ("", Stage.APPLY.value, Stage.EXCLUDE.value)
    cancelled = replace(cancelled, stage=Stage.RELEASE.value if frozen else Stage.CLOSE.value)
    await unit.requests.unclaim(request_id)
    await unit.requests.save(cancelled, now)
    await unit.log(cancelled, "CANCELLED", f"{request_id}/cancelled", {})
    return cancelled


async def choose_record(unit: RequestUnit, request_id: str, ref: str, choice: Choice, actor: str) -> Request:
    """Choose what becomes of a record that only likely is the person's.

    Raises:
        RapportError: REQUEST_NOT_FOUND, REQUEST_STATE, RECORD_NOT_FOUND.
    """
    chosen = choose(await unit.requests.hold(request_id), ref, choice, actor)
    await unit.requests.touch(chosen)
    return chosen


async def assign_request(unit: RequestUnit, request_id: str, assignee: str) -> Request:
    """Give a request to somebody, or to nobody.

    Raises:
        RapportError: REQUEST_NOT_FOUND.
    """
    assigned = replace(await unit.requests.hold(request_id), assignee=assignee)
    await unit.requests.touch(assigned)
    return assigned


async def note_on_request(unit: RequestUnit, request_id: str, text: str, author: str, now: datetime) -> Request:
    """Note something on a request.

    Raises:
        RapportError: REQUEST_NOT_FOUND.
    """
    request = await unit.requests.hold(request_id)
    noted = replace(request, notes=(*request.notes, Note(text, author, now)))
    await unit.requests.touch(noted)
    return noted


async def decide_review(
    unit: RequestUnit, request_id: str, right: Right, *, changed: bool, effect: str, actor: str, now: datetime
) -> Request:
    """Say how a review ended that only people can make; by another actor than who prepared the request.

    Raises:
        RapportError: REQUEST_NOT_FOUND, REQUEST_STATE, SAME_ACTOR.
    """
    request = await unit.requests.hold(request_id)
    if actor in prepared_by(request):
        raise ERRORS.error("SAME_ACTOR", "who took the request in or verified it cannot review it too")
    outcome = Outcome.CHANGED if changed else Outcome.UPHELD
    decided = conclude(request, right, outcome, effect, actor)
    await unit.requests.save(decided, now)
    await unit.log(decided, "REVIEWED", f"{request_id}/reviewed/{right.value}", {"outcome": outcome.value})
    return decided
