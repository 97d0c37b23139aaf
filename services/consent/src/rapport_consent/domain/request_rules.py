"""What a privacy request may do next.

A request is never changed in place: each function returns the next one, or refuses with a coded reason. Times, actors
and what the law says are handed in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.requests import (
    OPEN,
    Asked,
    Choice,
    Extension,
    Outcome,
    Participant,
    Request,
    RequestState,
    RightState,
    SubjectRecord,
    Verification,
)
from rapport_consent.domain.rule_packs import Assurance, Need, Right, RulePack

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


def verify(request: Request, verification: Verification, profile_id: str, pack: RulePack) -> Request:
    """Return the request once somebody has shown who they are.

    Raises:
        RapportError: REQUEST_STATE; SUBJECT_CHANGED: something else was shown before.
    """
    require(request, RequestState.RECEIVED, RequestState.VERIFIED)
    if profile_id and request.profile_id and profile_id != request.profile_id and request.verifications:
        raise ERRORS.error("SUBJECT_CHANGED", "the request was shown to be of somebody else", field="profile_id")
    queries = tuple(
        replace(each, answered_on=each.answered_on or verification.verified_at.date())
        for each in request.identity_queries
    )
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


def approve(request: Request, actor: str, participants: Sequence[Participant], now: datetime) -> Request:
    """Return the request once somebody else than who prepared it has approved what is not refused.

    Raises:
        RapportError: REQUEST_STATE, REQUESTER_NOT_VERIFIED, SAME_ACTOR, SUBJECT_UNSEARCHED, RECORDS_UNDECIDED,
            NOBODY_LEFT, REFUSAL_UNCONFIRMED.
    """
    if request.state is RequestState.RECEIVED:
        raise ERRORS.error("REQUESTER_NOT_VERIFIED", "it has not been shown who asks")
    require(request, RequestState.VERIFIED)
    if actor in prepared_by(request):
        raise ERRORS.error("SAME_ACTOR", "who took the request in or verified it cannot approve it too")
    if not request.searched:
        raise ERRORS.error("SUBJECT_UNSEARCHED", "it is not yet known whom the request is about: try again soon")
    if request.undecided_records:
        raise ERRORS.error(
            "RECORDS_UNDECIDED",
            "choose first what becomes of doubtful records",
            metadata={"records": ",".join(each.ref for each in request.undecided_records)},
        )
    if request.records and all(each.choice is Choice.EXCLUDED for each in request.records):
        raise ERRORS.error("NOBODY_LEFT", "every record was excluded: name somebody else, or refuse")
    if any(each.state is RightState.REFUSAL_PROPOSED for each in request.rights):
        raise ERRORS.error("REFUSAL_UNCONFIRMED", "a refusal was proposed: confirm it, or refuse nothing")
    return replace(
        request,
        state=RequestState.RUNNING,
        approved_at=now,
        participants=tuple(participants),
        rights=tuple(
            replace(each, state=RightState.APPROVED, decided_by=actor) if each.state is RightState.ASKED else each
            for each in request.rights
        ),
    )


def prepared_by(request: Request) -> frozenset[str]:
    """Return who took part in what an approval is to look at."""
    return frozenset(
        {request.created_by}
        | {each.verified_by for each in request.verifications}
        | {each.chosen_by for each in request.records if each.chosen_by}
    )


def refuse(
    request: Request,
    rights: Collection[Right],
    *,
    ground: str,
    text: str,
    tells: Sequence[str],
    evidence: Sequence[str],
    actor: str,
    now: datetime,
    pack: RulePack,
) -> Request:
    """Return the request with some rights refused; a ground that needs two actors is proposed first, then confirmed.

    Raises:
        RapportError: REQUEST_STATE; REFUSAL_NOT_ALLOWED on this ground; REFUSAL_INCOMPLETE: something must be there, or
            told, first; SAME_ACTOR: another actor must confirm.
    """
    require(request, RequestState.RECEIVED, RequestState.VERIFIED)
    undecided = (RightState.ASKED, RightState.REFUSAL_PROPOSED)
    named = set(rights) or {each.right for each in request.rights if each.state in undecided}
    if not named <= {each.right for each in request.rights if each.state in undecided}:
        raise ERRORS.error("REFUSAL_NOT_ALLOWED", "this right is not asked, or is decided", field="rights")
    if missing := sorted(set(pack.refusal_tells) - set(tells)):
        raise ERRORS.error(
            "REFUSAL_INCOMPLETE",
            "a refusal must tell all that the law asks for",
            field="tells",
            metadata={"missing": ",".join(missing)},
        )
    have = {Need.EVIDENCE} if evidence else set()
    have |= {Need.IDENTITY_ASKED_FOR} if request.identity_queries else set()
    decided: list[Asked] = []
    for each in request.rights:
        if each.right not in named:
            decided.append(each)
            continue
        exception = {Need.EXCEPTION} if ground in pack.rights[each.right].exceptions or evidence else set()
        needs = pack.may_refuse(each.right, ground, have | exception)
        if needs is None:
            raise ERRORS.error(
                "REFUSAL_NOT_ALLOWED", f"the law knows no refusal of {each.right} on this ground", field="ground"
            )
        proposed = replace(
            each,
            refusal_ground=ground,
            refusal_text=text,
            refusal_tells=tuple(tells),
            evidence=tuple(evidence),
            decided_by=actor,
        )
        decided.append(_refused(each, proposed, needs, actor))
    refused = replace(request, rights=tuple(decided))
    if all(each.state is RightState.REFUSED for each in refused.rights):
        return replace(refused, state=RequestState.REFUSED, closed_at=now)
    return refused


def _refused(before: Asked, proposed: Asked, needs: Sequence[Need], actor: str) -> Asked:
    lacking = [need for need in needs if need is not Need.SECOND_APPROVAL]
    if lacking:
        raise ERRORS.error(
            "REFUSAL_INCOMPLETE",
            "this ground needs something first",
            field="ground",
            metadata={"missing": ",".join(sorted(lacking))},
        )
    if Need.SECOND_APPROVAL not in needs:
        return replace(proposed, state=RightState.REFUSED, proposed_by="")
    if before.state is RightState.ASKED or before.refusal_ground != proposed.refusal_ground:
        return replace(proposed, state=RightState.REFUSAL_PROPOSED, proposed_by=actor)
    if before.proposed_by == actor:
        raise ERRORS.error("SAME_ACTOR", "who proposed the refusal cannot confirm it too")
    return replace(proposed, state=RightState.REFUSED, proposed_by=before.proposed_by)


def extend(request: Request, extension: Extension, pack: RulePack, *, in_time: bool) -> Request:
    """Return the request with more time, told within the time it extends.

    Args:
        request: The request.
        extension: Why, and when the person is told.
        pack: What the law says.
        in_time: Whether that is within the time that is extended, for every right that is not refused.

    Raises:
        RapportError: REQUEST_STATE, EXTENSION_NOT_ALLOWED.
    """
    require(request, *OPEN)
    if request.extension is not None or extension.ground not in pack.extension_reasons or not in_time:
        raise ERRORS.error(
            "EXTENSION_NOT_ALLOWED",
            "the time can be extended once, on a ground of the law, by a notice sent in time",
            field="ground",
            metadata={"grounds": ",".join(pack.extension_reasons)},
        )
    return replace(request, extension=extension)


def cancel(request: Request, now: datetime) -> Request:
    """Return the request closed without a decision; nothing that was begun of an erasure can be taken back.

    Raises:
        RapportError: REQUEST_STATE: it is closed, or its person is fenced.
    """
    require(request, *OPEN)
    if request.position:
        raise ERRORS.error("REQUEST_STATE", "the erasure has begun", metadata={"state": request.state})
    return replace(request, state=RequestState.CANCELLED, closed_at=now)


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
