"""The gate: asked in-process, at the instant of an effect."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Final, Protocol

from rapport_chassis.clock import Clock

from rapport_privacy.decision import Decision
from rapport_privacy.freshness import Freshness
from rapport_privacy.replica import Replica
from rapport_privacy.rules import FENCED_ERASED, FENCED_RESTRICTED, Outcome, Question, in_force, pose, weigh
from rapport_privacy.state import Purposes, Subject
from rapport_privacy.vocabulary import Answer, Reason

COLD: Final[Outcome] = (Answer.DENY_STALE, Reason.COLD)
STALE: Final[Outcome] = (Answer.DENY_STALE, Reason.STALE)
TOKEN_UNMET: Final[Outcome] = (Answer.DENY_STALE, Reason.TOKEN_UNMET)

# Half the cost of calling the class, which would only take the same ten values apart and together again.
_decision: Final[Callable[[tuple[object, ...]], Decision]] = partial(tuple.__new__, Decision)

# Markets and categories come from callers: what is worked out for them must not grow without end.
_MOST_QUESTIONS: Final = 10_000


class Position(Protocol):
    """A point in the ledger, such as the freshness token that a write returns."""

    @property
    def epoch(self) -> str:
        """Epoch of the ledger."""

    @property
    def position(self) -> int:
        """Position in the epoch."""


class Gate:
    """Decides from a replica and its freshness. Blocks on nothing, costs microseconds.

    To be asked on the thread that feeds the replica, for each effect anew: a decision is worth nothing later.
    """

    def __init__(self, replica: Replica, freshness: Freshness, clock: Clock) -> None:
        self._replica = replica
        self._freshness = freshness
        self._now = clock.now
        self._boottime = clock.boottime
        self._questions: dict[tuple[str, str, str, str], Question] = {}
        self._purposes: Purposes = {}

    @property
    def lag_positions(self) -> int:
        """How many positions the ledger is known to be ahead of the replica."""
        return self._replica.lag_positions

    @property
    def staleness_s(self) -> float:
        """Seconds since the replica was last known to be fresh; infinite if it never was."""
        return self._boottime() - self._freshness.confirmed_at

    def check(
        self,
        profile_id: str,
        purpose_id: str,
        *,
        brand_id: str = "",
        market: str = "",
        data_category: str = "",
        at_least: Position | None = None,
    ) -> Decision:
        """Answer whether an effect is allowed now.

        Args:
            profile_id: Any id ever issued for the person.
            purpose_id: The purpose of the effect.
            brand_id: The brand in whose name it happens; needed for a purpose with brands.
            market: Where it happens; empty for the rule of all markets.
            data_category: The category of data it uses; empty for the rule of all categories.
            at_least: The answer must know the ledger at least up to here.

        Raises:
            RapportError: BRAND_REQUIRED: a brand must be named for this purpose.
        """
        now = self._now()
        boottime = self._boottime()
        replica, freshness = self._replica, self._freshness
        contents, fences, early = replica.contents, replica.fences, replica.early
        question = self._questions.get((purpose_id, brand_id, market, data_category))
        if (
            question is None
            or self._purposes is not contents.purposes
            or not question.valid_from <= now < question.valid_until
        ):
            question = self._pose(purpose_id, brand_id, market, data_category, now)
        subject = contents.subjects.get(profile_id)
        current_id = profile_id if subject is None else subject.profile_id
        state = None
        if current_id in fences or (
            subject is not None and subject.redirect_ids and not fences.isdisjoint(subject.redirect_ids)
        ):
            outcome = FENCED_ERASED
        elif not replica.warm:
            outcome = COLD
        elif not question.despite_restriction and (
            (subject is not None and subject.restriction is not None)
            or (early.changes and early.restricts(_closure(profile_id, subject)))
        ):
            outcome = FENCED_RESTRICTED
        elif at_least is not None and (at_least.epoch != replica.epoch or at_least.position > replica.position):
            outcome = TOKEN_UNMET
        elif boottime >= freshness.fresh_until and not (
            question.continues_stale and boottime < freshness.continues_until
        ):
            outcome = STALE
        else:
            if subject is not None:
                state = in_force(question, subject.states)
            if early.changes:
                state = early.state(_closure(profile_id, subject), question.keys) or state
            outcome = weigh(question, state, now)
        return _decision(
            (
                *outcome,
                question.basis,
                question.purpose_version,
                current_id,
                state,
                replica.epoch,
                replica.position,
                now,
                boottime - freshness.confirmed_at,
            )
        )

    def check_many(
        self,
        profile_ids: Iterable[str],
        purpose_id: str,
        *,
        brand_id: str = "",
        market: str = "",
        data_category: str = "",
        at_least: Position | None = None,
    ) -> list[Decision]:
        """Answer the same check for many people, in their order.

        Raises:
            RapportError: BRAND_REQUIRED: a brand must be named for this purpose.
        """
        return [
            self.check(
                profile_id,
                purpose_id,
                brand_id=brand_id,
                market=market,
                data_category=data_category,
                at_least=at_least,
            )
            for profile_id in profile_ids
        ]

    def _pose(self, purpose_id: str, brand_id: str, market: str, data_category: str, now: datetime) -> Question:
        purposes = self._replica.contents.purposes
        if self._purposes is not purposes or len(self._questions) >= _MOST_QUESTIONS:
            self._questions.clear()
            self._purposes = purposes
        question = pose(
            purposes.get(purpose_id), brand_id=brand_id, market=market, data_category=data_category, now=now
        )
        self._questions[purpose_id, brand_id, market, data_category] = question
        return question


def _closure(profile_id: str, subject: Subject | None) -> tuple[str, ...]:
    """Every id that stands for the same person as far as the replica knows: a negative may name any of them."""
    return (profile_id,) if subject is None else (subject.profile_id, *subject.redirect_ids)
