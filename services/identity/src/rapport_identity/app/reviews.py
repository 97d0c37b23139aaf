"""Use cases: find close calls among what changed, and take a steward's answers."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from rapport_chassis.ids import new_id

from rapport_identity.app import steward
from rapport_identity.app.partition import Partition, Session
from rapport_identity.app.steward import Decision
from rapport_identity.app.stored import ConstraintKind, StoredConstraint
from rapport_identity.app.units import Unit
from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.reviews import Question, ReviewCause, questions

AT_ONCE: Final = 100
"""Records of which the components are looked at in one transaction; one position may have more."""


class ReviewVerdict(StrEnum):
    """What a steward answers."""

    SAME = "same"
    """One person."""
    DIFFERENT = "different"
    """Two people."""
    UNDECIDED = "undecided"
    """It cannot be told; not asked again while the evidence is the same."""


@dataclass(frozen=True, slots=True)
class Review:
    """A question to a steward, and its answer.

    Attributes:
        review_id: Its id.
        cause: Why it is asked.
        first: Number of one record.
        second: Number of the other.
        gain: How much an answer is expected to teach, in bits.
        created_at: When it was first asked.
        verdict: The answer; None while it is open.
        decided_by: Subject of the operator who answered; empty while it is open.
        decided_at: When; None while it is open.
    """

    review_id: str
    cause: ReviewCause
    first: int
    second: int
    gain: float
    created_at: datetime
    verdict: ReviewVerdict | None = None
    decided_by: str = ""
    decided_at: datetime | None = None


class Label(NamedTuple):
    """What a steward said of two records, by number."""

    first: int
    second: int
    same: bool


class Changed(NamedTuple):
    """Records that changed after one position and up to another, and the matcher that sees them."""

    numbers: Sequence[int]
    until: int
    matcher_id: str


class Reviews(Protocol):
    """The queue of reviews, in the transaction of a unit."""

    async def changed(self, unit: Unit, until: int, matcher_id: str, at_least: int) -> Changed | None:
        """Return what changed since close calls were last looked for; None if nothing did, or somebody else looks.

        Args:
            unit: The transaction, to whose end nobody else looks.
            until: The last position that may be looked at.
            matcher_id: The matcher that decides; to another one than before everything has changed.
            at_least: How many records are enough; those of one position stay together.
        """
        ...

    async def settle(self, unit: Unit, numbers: Collection[int], found: Sequence[Question]) -> None:
        """Have exactly these questions open about these records; one that was open stays the same review."""
        ...

    async def looked(self, unit: Unit, changed: Changed) -> None:
        """Note up to which position close calls were looked for."""
        ...

    async def open_page(
        self, unit: Unit, numbers: Collection[int] | None, after: tuple[float, str] | None, limit: int
    ) -> list[Review]:
        """Return open reviews, the highest gain first: after the given one, on any of these records."""
        ...

    async def decided_page(
        self, unit: Unit, numbers: Collection[int] | None, after: tuple[datetime, str] | None, limit: int
    ) -> list[Review]:
        """Return answered reviews, the newest answer first: after the given one, on any of these records."""
        ...

    async def get(self, unit: Unit, review_id: str) -> Review | None:
        """Return a review."""
        ...

    async def decide(self, unit: Unit, review: Review, reason: str) -> None:
        """Keep the answer of a review, which is open."""
        ...

    async def labels(self, unit: Unit) -> list[Label]:
        """Return what stewards said of pairs of records, unless they have taken it back."""
        ...


class FindReviews:
    """Looks for close calls among what changed; of several processes one looks at a time.

    Args:
        partition: Where to look.
        reviews: The queue.
        at_once: How many changed records are enough for one step.
    """

    def __init__(self, partition: Partition, reviews: Reviews, *, at_once: int = AT_ONCE) -> None:
        self._partition = partition
        self._reviews = reviews
        self._at_once = at_once

    async def step(self) -> bool:
        """Look at some of what changed, and return whether there was anything.

        Raises:
            RapportError: NOT_READY.
        """
        replica = self._partition.replica
        async with self._partition.units.unit() as unit:
            changed = await self._reviews.changed(unit, replica.position, replica.matcher_id, self._at_once)
            if changed is None:
                return False
            seen: set[int] = set()
            asked: dict[tuple[int, int], Question] = {}  # what was written meanwhile may lead to a pair twice
            for number in changed.numbers:
                if number not in seen:
                    await asyncio.sleep(0)  # others on this thread go first
                    here, found = await self._look(number)
                    seen |= here
                    asked.update({(each.first, each.second): each for each in found})
            # Only now: who answers a review holds the partition while it waits for the rows of reviews.
            await self._reviews.settle(unit, seen, list(asked.values()))
            await self._reviews.looked(unit, changed)
        return True

    async def _look(self, number: int) -> tuple[set[int], list[Question]]:
        """Return what is to be asked about a component: writers go on between two of them."""
        async with self._partition.still() as replica:
            if number not in replica.index:
                return {number}, []
            entries, found = questions(replica.index, replica.bonds, replica.index[number])
            return {entry.number for entry in entries}, found


async def decide_review(
    session: Session, reviews: Reviews, review_id: str, verdict: ReviewVerdict, *, actor: str, reason: str
) -> tuple[Review, Decision | None]:
    """Take an answer: a constraint, unless it cannot be told, and a label for the next training.

    One person: the profiles of the two, with all their records, are one; where they are together already, the two
    records stay so. Two people: the two records are never one person.

    Raises:
        RapportError: REVIEW_NOT_FOUND, REVIEW_DECIDED, RECORD_NOT_FOUND, CONSTRAINTS_CONTRADICT, NOT_READY.
    """
    review = await reviews.get(session.unit, review_id)
    if review is None:
        raise ERRORS.error("REVIEW_NOT_FOUND", "there is no such review", field="review_id")
    if review.verdict is not None:
        raise ERRORS.error("REVIEW_DECIDED", "the review is answered", field="review_id")
    index = session.replica.index
    if review.first not in index or review.second not in index:
        raise ERRORS.error("RECORD_NOT_FOUND", "a record of the review was erased", field="review_id")
    decided = replace(review, verdict=verdict, decided_by=actor, decided_at=session.head.recorded_at)
    await reviews.decide(session.unit, decided, reason)
    if verdict is ReviewVerdict.UNDECIDED:
        return decided, None
    if verdict is ReviewVerdict.DIFFERENT:
        keys = index[review.first].key, index[review.second].key
        return decided, await steward.forbid(session, *keys, actor=actor, reason=reason, review_id=review_id)
    owners = [session.owner(number) for number in (review.first, review.second)]
    if owners[0] != owners[1]:
        return decided, await steward.merge(session, owners, actor=actor, reason=reason, review_id=review_id)
    group = (review.first, review.second)
    made_at = session.head.recorded_at
    constraint = StoredConstraint(
        new_id("constraint"), ConstraintKind.MUST_MATCH, (group,), made_at, actor, reason, review_id
    )
    return decided, await steward.bind(session, constraint)
