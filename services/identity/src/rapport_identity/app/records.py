"""Takes in records: those of declared sources, of persons whom the gate lets be collected for the source's purpose.

The gate is asked twice within the transaction: before a record is resolved, for whom its identifiers lead to, and once
it is known with whom it comes together, which may be somebody else. Whatever is refused leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_privacy.decision import Decision
from rapport_privacy.permits import Permits
from rapport_privacy.vocabulary import Answer, Reason

from rapport_identity.app.collecting import ask, stale
from rapport_identity.app.declarations import Registry
from rapport_identity.app.known import Known
from rapport_identity.app.partition import FROZEN_S, Partition, Session
from rapport_identity.app.resolve import Outcome, Resolved, ResolveRecords
from rapport_identity.app.stored import Submission
from rapport_identity.app.suppressing import SuppressionList, suppressed
from rapport_identity.domain.declarations import Declared, SourceTerms
from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.sightings import NOBODY

OfferedT = TypeVar("OfferedT")
AnswerT = TypeVar("AnswerT")

_REASONS: Final = {each.value: each.name for each in Reason}


class RecognisedError(Exception):
    """A record came together with somebody of whom it may not be collected: nothing that holds it may be committed.

    Attributes:
        refusal: Why it is refused, if it came alone.
    """

    def __init__(self, refusal: RapportError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


async def in_parts(
    take: Callable[[Sequence[OfferedT]], Awaitable[Sequence[AnswerT | RapportError]]], offered: Sequence[OfferedT]
) -> list[AnswerT | RapportError]:
    """Take records in together, or in halves where one of them must be left out.

    So each is judged by whom it comes together with itself, and not by the company it was sent in.

    Args:
        take: Takes some of them in, in one transaction, which a `RecognisedError` undoes.
        offered: All of them.

    Raises:
        RapportError: NOT_READY. Parts may be durable by then: a repeat is answered.
    """
    try:
        return list(await take(offered))
    except RecognisedError as recognised:
        if len(offered) == 1:
            return [recognised.refusal]
    half = len(offered) // 2
    return [*await in_parts(take, offered[:half]), *await in_parts(take, offered[half:])]


@dataclass(frozen=True, slots=True)
class _Permitted:
    """A record that may be collected of those it leads to."""

    at: int
    submission: Submission
    terms: SourceTerms
    profile_ids: frozenset[str]


class TakeInRecords:
    """Takes in batches of records, each judged by itself.

    Args:
        partition: Who is who.
        resolve: Says who the persons of records are.
        registry: What may be collected.
        gate: What is permitted.
        erased: Keeps what was erased from coming back.
        clock: The time.
    """

    def __init__(
        self,
        partition: Partition,
        resolve: ResolveRecords,
        *,
        registry: Registry,
        gate: Permits,
        erased: SuppressionList,
        clock: Clock,
    ) -> None:
        self._partition = partition
        self._resolve = resolve
        self._registry = registry
        self._gate = gate
        self._erased = erased
        self._clock = clock

    async def __call__(self, submissions: Sequence[Submission]) -> list[Resolved | RapportError]:
        """Return for each who it is, durable with the events that tell of it, or why it is refused.

        Refused is what is UNDECLARED, what the gate denies (COLLECTING_REFUSED), what it needs a brand for
        (BRAND_REQUIRED), and what it does not know enough for (NOT_READY); what is from before an erasure (SUPPRESSED),
        and a change of what a privacy request holds still (PROFILE_FROZEN). Paths of fields are those of the record.

        Raises:
            RapportError: NOT_READY. If the COMMIT was on its way, its outcome is unknown: a repeat is answered.
        """
        return await in_parts(self._together, submissions)

    async def _together(self, submissions: Sequence[Submission]) -> list[Resolved | RapportError]:
        async with self._partition.session() as session:
            return await self.within(session, submissions)

    async def within(self, session: Session, submissions: Sequence[Submission]) -> list[Resolved | RapportError]:
        """Take them in as the one change of a session that the caller has opened, by `in_parts`.

        Raises:
            RecognisedError: One of them must be left out: the session is to be left by this error.
            RapportError: NOT_READY.
        """
        declared = await self._registry.declared(session.unit, self._clock.now())
        known = Known(session.replica)
        answers: dict[int, Resolved | RapportError] = {}
        permitted: list[_Permitted] = []
        blocked: set[int] = set()
        if session.replica.erased:
            blocked = await self._erased.blocked_records(session.unit, submissions)
        for at, submission in enumerate(submissions):
            try:
                if at in blocked:
                    raise suppressed()
                terms = _terms(declared, submission)
                profile_ids = _led_to(session, known, submission)
                self._ask(submission, terms, profile_ids)
            except RapportError as error:
                answers[at] = error
            else:
                permitted.append(_Permitted(at, submission, terms, profile_ids))
        if permitted:
            taken = [each.submission for each in permitted]
            keys = await self._resolve.keys_for(taken)
            for each, resolved in zip(permitted, await self._resolve.within(session, taken, keys), strict=True):
                self._recognise(session, each, resolved)
                answers[each.at] = resolved
        return [answers[at] for at in range(len(submissions))]

    def _recognise(self, session: Session, permitted: _Permitted, resolved: Resolved) -> None:
        """Ask again where a record came together with others than those it led to.

        Raises:
            RecognisedError: The gate denies it, or it would change what is held still.
        """
        if resolved.outcome is Outcome.UPDATED and resolved.profile_id in session.replica.frozen:
            held = ERRORS.error("PROFILE_FROZEN", "a privacy request holds the record still", retry_after_s=FROZEN_S)
            raise RecognisedError(held)
        together = _together_with(session, resolved.profile_id)
        if together == permitted.profile_ids:
            return
        try:
            self._ask(permitted.submission, permitted.terms, together)
        except RapportError as error:
            raise RecognisedError(error) from error

    def _ask(self, submission: Submission, terms: SourceTerms, profile_ids: frozenset[str]) -> None:
        """Return if a record may be collected of these, who are one person, or of somebody new.

        Raises:
            RapportError: COLLECTING_REFUSED, BRAND_REQUIRED, NOT_READY.
        """
        facet = submission.facet
        decision = ask(
            self._gate,
            profile_ids,
            terms.purpose_id,
            brand_id=facet.brand_id,
            market=facet.market,
            data_category=terms.data_category,
        )
        if not decision.permitted:
            raise _refusal(decision, terms)


def _terms(declared: Declared, submission: Submission) -> SourceTerms:
    """Return what is declared of the source of a record.

    Raises:
        RapportError: UNDECLARED.
    """
    terms = declared.sources.get(submission.draft.key.source)
    if terms is None:
        raise ERRORS.error("UNDECLARED", "no such source is declared", field="key.source")
    return terms


def _led_to(session: Session, known: Known, submission: Submission) -> frozenset[str]:
    """Return the profile of a record that is held, else those that its identifiers lead to; empty for somebody new.

    A device or browser leads to somebody only where there is nothing else: it says who used it.
    """
    number = known.number_of(RecordKey(*submission.draft.key))
    if number is not None and (owner := session.replica.owners.get(number)):
        return frozenset({owner})
    normals = submission.identifiers
    persons = [each for each in normals if each[0] != NOBODY]
    return frozenset(holder.profile_id for each in persons or normals for holder in known.holders(each))


def _together_with(session: Session, profile_id: str) -> frozenset[str]:
    """Return the profiles there were before this session of all records that are one profile now; its own too."""
    replica = session.replica
    before = {profile_id, *(replica.owners.get(number, "") for number in session.members(profile_id))}
    return frozenset(each for each in before if each in replica.versions)


def _refusal(decision: Decision, terms: SourceTerms) -> RapportError:
    if decision.answer == Answer.DENY_STALE:
        return stale()
    reason = _REASONS.get(decision.reason, str(decision.reason))
    return ERRORS.error(
        "COLLECTING_REFUSED",
        f"the gate denies collecting for {terms.purpose_id}: {reason}",
        metadata={"purpose_id": terms.purpose_id, "reason": reason},
    )
