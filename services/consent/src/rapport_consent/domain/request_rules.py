"""What a privacy request may do next, once it is approved; and who is to do something now.

How it is taken in: `request_intake`; what is decided: `request_decisions`. A request is never changed in place: each
function returns the next one, or refuses with a coded reason. Times, actors and what the law says are handed in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.request_stages import Stage
from rapport_consent.domain.request_words import Outcome, RequestState, RightState
from rapport_consent.domain.requests import Request
from rapport_consent.domain.rule_packs import Right, RulePack

INTERIM: Final = "INTERIM"
"""The letter that says what a legal hold keeps, while an erasure waits for it."""


def require(request: Request, *states: RequestState) -> None:
    """Refuse what cannot be done where a request stands.

    Raises:
        RapportError: REQUEST_STATE.
    """
    if request.state not in states:
        raise ERRORS.error(
            "REQUEST_STATE",
            f"the request is {request.state.lower()}",
            metadata={"state": request.state, "stage": request.stage},
        )


def give_back(request: Request, done: Iterable[str]) -> Request:
    """Return the request as before its approval, since its person was merged or split; what was done of it stays.

    Args:
        request: The request, with the person's records as they are now.
        done: Tasks that are to be asked anew after the next approval.

    Raises:
        RapportError: REQUEST_STATE.
    """
    require(request, RequestState.RUNNING)
    return replace(
        request,
        state=RequestState.VERIFIED,
        stage="",
        stuck="SUBJECT_REOPENED",
        approved_at=None,
        participants=(),
        closure_ids=(),
        reopened=request.reopened + 1,
        outdated=tuple(dict.fromkeys((*request.outdated, *done))),
        rights=tuple(
            replace(each, state=RightState.ASKED, decided_by="") if each.state is RightState.APPROVED else each
            for each in request.rights
        ),
    )


def erase_again(request: Request, asked: Iterable[str]) -> Request:
    """Return the request as it waits to ask anew what was asked in these tasks: something was found after it."""
    return replace(
        request,
        stage=Stage.ERASE.value,
        stuck="STILL_FOUND",
        outdated=tuple(dict.fromkeys((*request.outdated, *asked))),
    )


def widen(request: Request, profile_ids: Collection[str], asked: Iterable[str]) -> Request:
    """Return the request with further ids of its person; whoever was asked without them is asked anew."""
    return replace(
        pin(request, (*request.closure_ids, *profile_ids)),
        outdated=tuple(dict.fromkeys((*request.outdated, *asked))),
    )


def tell_of_hold(request: Request) -> Request:
    """Return the request with a letter to tell, once, that a legal hold keeps a part of what was to be erased."""
    if INTERIM in request.pending or any(each.kind == INTERIM for each in request.letters):
        return request
    return replace(request, pending=(*request.pending, INTERIM))


def pin(request: Request, closure_ids: Iterable[str]) -> Request:
    """Return the request with every id of the person: it is about these from now on, whatever happens elsewhere."""
    return replace(request, closure_ids=tuple(sorted({*closure_ids, request.profile_id})))


def await_review(request: Request, review_id: str) -> Request:
    """Return the request with the review that who made the contested decision was asked for."""
    return replace(
        request,
        rights=tuple(
            replace(each, review_id=review_id) if each.right is Right.CONTEST else each for each in request.rights
        ),
    )


def conclude(request: Request, right: Right, outcome: Outcome, effect: str = "", reviewer: str = "") -> Request:
    """Return the request with a right fulfilled; where people had to review something, with who did.

    Raises:
        RapportError: REQUEST_STATE: the right was not approved.
    """
    require(request, RequestState.RUNNING)
    asked = request.of(right)
    if asked is None or asked.state is not RightState.APPROVED:
        raise ERRORS.error("REQUEST_STATE", "this right was not approved, or is fulfilled", field="right")
    return replace(
        request,
        rights=tuple(
            replace(each, state=RightState.FULFILLED, outcome=outcome, effect=effect, reviewed_by=reviewer)
            if each is asked
            else each
            for each in request.rights
        ),
    )


def complete(request: Request, now: datetime) -> Request:
    """Return the request once every approved right is fulfilled.

    Raises:
        RapportError: REQUEST_STATE: one is not.
    """
    require(request, RequestState.RUNNING)
    if any(each.state is RightState.APPROVED for each in request.rights):
        raise ERRORS.error("REQUEST_STATE", "a right that was approved is not fulfilled")
    return replace(request, state=RequestState.COMPLETED, closed_at=now)


def next_action(request: Request, pack: RulePack) -> str:
    """Return what is to be done next, as a code."""
    match request.state:
        case RequestState.RECEIVED:
            return "VERIFY"
        case RequestState.VERIFIED:
            if request.undecided_records:
                return "CHOOSE_RECORDS"
            if any(each.state is RightState.REFUSAL_PROPOSED for each in request.rights):
                return "CONFIRM_REFUSAL"
            return "APPROVE"
        case RequestState.RUNNING:
            return "REVIEW" if request.in_review and request.stage == "REVIEW" else "WAIT"
        case _:
            return "NONE"
