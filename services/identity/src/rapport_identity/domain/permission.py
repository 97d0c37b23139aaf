"""What the gate answered, as plain values that may be kept, and what its answers about several ids mean together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeVar

from rapport_privacy.vocabulary import Answer, Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer of the gate without the person it is about: what an effect keeps as its ground.

    Attributes:
        answer: The answer, by the contract's number.
        reason: Why, by the contract's number.
        basis: The legal basis, by the contract's number.
        purpose_version: Version of the purpose applied; 0 if none.
        reference: Ledger event id of the decision in force; empty if none.
        notice_id: Notice under which that was made; empty if none.
        notice_version: Version of the notice.
        evidence: Where its proof comes from, by the contract's number.
        epoch: Epoch of the ledger; empty while none is known.
        position: The ledger was known up to here.
        as_of: When it was answered.
    """

    answer: int
    reason: int
    basis: int
    purpose_version: int
    reference: str
    notice_id: str
    notice_version: int
    evidence: int
    epoch: str
    position: int
    as_of: datetime

    @property
    def is_stale(self) -> bool:
        """Whether the gate did not know enough to answer: the same question is worth asking again."""
        return self.answer == Answer.DENY_STALE

    @property
    def is_of_the_person(self) -> bool:
        """Whether it is about the person, and not about a replica that is behind or a purpose that nobody defined."""
        return self.answer not in (Answer.DENY_STALE, Answer.DENY_UNKNOWN)


class Weighable(Protocol):
    """An answer of the gate."""

    @property
    def permitted(self) -> bool:
        """True only if the effect is permitted."""

    @property
    def reason(self) -> int:
        """Why, by the contract's number."""


AnswerT = TypeVar("AnswerT", bound=Weighable)

_STALE: Final = (Reason.COLD, Reason.STALE, Reason.TOKEN_UNMET)


def together(answers: Iterable[AnswerT]) -> AnswerT:
    """Return the answer that holds for ids that are one person, or are about to be.

    As the ledger has it for ids that were merged: a no of any of them wins, the absence of a decision is neutral, and
    so a yes of any of them counts where no other says no. A no that is known goes before a no for want of knowledge,
    which would have the caller ask again.
    """
    return min(answers, key=_rank)


def _rank(answer: Weighable) -> int:
    if answer.permitted:
        return 2
    if answer.reason == Reason.NO_DECISION:
        return 3
    return 1 if answer.reason in _STALE else 0
