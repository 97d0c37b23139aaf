"""How a privacy request is taken in: who asks, and about whom, until an officer can decide.

A request is never changed in place: each function returns the next one, or refuses with a coded reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.request_rules import require
from rapport_consent.domain.request_words import Choice, RequestState, RightState
from rapport_consent.domain.requests import Request, SubjectRecord, Verification
from rapport_consent.domain.rule_packs import Assurance, Right, RulePack


def receive(request: Request, pack: RulePack) -> Request:
    """Return a request as it is taken in.

    Raises:
        RapportError: REQUEST_INVALID: a right is asked twice, or says too little; RIGHT_UNKNOWN to the law.
    """
    rights = [each.right for each in request.rights]
    if len(set(rights)) != len(rights):
        raise ERRORS.error("REQUEST_INVALID", "a right is asked twice", field="rights")
    for at, each in enumerate(request.rights):
        if each.right not in pack.rights:
            raise ERRORS.error("RIGHT_UNKNOWN", "the law of this market knows no such right", field=f"rights[{at}]")
        if each.right is Right.CONTEST and not each.decision_id:
            raise ERRORS.error("REQUEST_INVALID", "which decision is contested?", field=f"rights[{at}].decision_id")
        if each.right is Right.RESTRICTION and not each.ground:
            raise ERRORS.error("REQUEST_INVALID", "a restriction has a ground", field=f"rights[{at}].ground")
    if request.received_at > request.created_at:
        raise ERRORS.error("RECEIVED_IN_FUTURE", "it is dated in the future", field="received_at")
    return request


def needed_assurance(request: Request, pack: RulePack) -> Assurance:
    """Return how sure one must be of who asks, for what is not refused."""
    return max(
        (
            pack.rights[each.right].assurance
            for each in request.rights
            if each.state not in (RightState.REFUSED, RightState.FULFILLED)
        ),
        default=Assurance.NONE,
    )


def verify(request: Request, verification: Verification, profile_id: str, pack: RulePack, shown_on: date) -> Request:
    """Return the request once somebody has shown who they are.

    Args:
        request: The request.
        verification: How it was shown.
        profile_id: Whom it is about, where that is known by now; empty for whom it was about.
        pack: The law.
        shown_on: The day it was where the request came from: clocks go on with it.

    Raises:
        RapportError: REQUEST_STATE; SUBJECT_CHANGED: something else was shown before.
    """
    require(request, RequestState.RECEIVED, RequestState.VERIFIED)
    if profile_id and request.profile_id and profile_id != request.profile_id and request.verifications:
        raise ERRORS.error("SUBJECT_CHANGED", "the request was shown to be of somebody else", field="profile_id")
    queries = tuple(replace(each, answered_on=each.answered_on or shown_on) for each in request.identity_queries)
    moved = profile_id and profile_id != request.profile_id
    shown = replace(
        request,
        verifications=(*request.verifications, verification),
        profile_id=profile_id or request.profile_id,
        records=() if moved else request.records,
        searched=request.searched and not moved,
        identity_queries=queries,
    )
    if shown.assurance >= needed_assurance(shown, pack):
        return replace(shown, state=RequestState.VERIFIED)
    return shown


def choose(request: Request, ref: str, choice: Choice, actor: str) -> Request:
    """Return the request with what becomes of a doubtful record.

    Raises:
        RapportError: REQUEST_STATE, RECORD_NOT_FOUND.
    """
    require(request, RequestState.RECEIVED, RequestState.VERIFIED)
    if not any(each.ref == ref for each in request.records):
        raise ERRORS.error("RECORD_NOT_FOUND", "the request lists no such record", field="record_ref")
    return replace(
        request,
        records=tuple(
            replace(each, choice=choice, chosen_by=actor) if each.ref == ref else each for each in request.records
        ),
    )


def with_subject(request: Request, records: Sequence[SubjectRecord]) -> Request:
    """Return the request with the person's records as they are now; choices about records that are still there stay."""
    chosen = {each.ref: each for each in request.records}
    return replace(
        request,
        records=tuple(
            replace(each, choice=chosen[each.ref].choice, chosen_by=chosen[each.ref].chosen_by)
            if each.ref in chosen
            else each
            for each in records
        ),
    )


def reopen_subject(request: Request) -> Request:
    """Return a request whose person was merged or split before approval: the records are to be looked at again."""
    if request.state not in (RequestState.RECEIVED, RequestState.VERIFIED):
        return request
    return replace(request, records=(), searched=False, reopened=request.reopened + 1)


def disturbed(request: Request, records: Sequence[SubjectRecord]) -> bool:
    """Whether a merge or split made the person somebody else than who was approved.

    What the person brings themselves does not: records that came in beyond doubt, under an id that was known.

    Args:
        request: The request, with the records that were looked at.
        records: The person's records as they are held still.
    """
    known = {request.profile_id, *(each.profile_id for each in request.records)}
    stayed = {each.ref for each in request.records if each.choice is not Choice.EXCLUDED}
    gone = stayed - {each.ref for each in records}
    came = [each for each in records if each.ref not in stayed]
    return bool(records) and (bool(gone) or any(each.doubtful or each.profile_id not in known for each in came))
