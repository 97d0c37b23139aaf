"""What officers decide about a privacy request: to approve, refuse, extend or close it.

A request is never changed in place: each function returns the next one, or refuses with a coded reason.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.request_rules import require
from rapport_consent.domain.request_words import OPEN, Choice, RequestState, RightState
from rapport_consent.domain.requests import Asked, Extension, Participant, Request
from rapport_consent.domain.rule_packs import Need, Right, RulePack


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
