"""Judges decisions of a gate by what the ledger had committed and by what the replica can have known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import inf
from typing import Final, NamedTuple

from rapport.consent.v1 import consent_pb2

from rapport_testing.gate_history.chronicle import Chronicle, Question

_UNDECIDED: Final = (consent_pb2.ANSWER_DENY_STALE, consent_pb2.ANSWER_UNSPECIFIED)
_MOST_KEPT: Final = 20


class Fault(StrEnum):
    """What can be wrong with a decision. All but the last are dangerous."""

    LATE = "permits what every state of the ledger within the bound denies"
    OUTDATED = "permits by a state that was overtaken longer ago than the bound"
    WITHOUT_PROOF = "permits though the ledger cannot have been asked within the bound"
    WRONG = "permits what the ledger denied at the position the decision names"
    NOWHERE = "permits by a position at which the ledger never was"
    FENCED = "permits through a fence that the replica had heard of"
    COLD = "permits before the replica was loaded"
    TOKEN = "permits without knowing what the caller's token names"  # noqa: S105 - a text
    NEEDLESS = "denies by the newest state what that state permits"


class Windows(NamedTuple):
    """How long a gate may go on by what it knew, in seconds.

    Attributes:
        bound_s: Any purpose.
        continuation_s: Contract and legal duty.
    """

    bound_s: float = 2.0
    continuation_s: float = 900.0


class Decision(NamedTuple):
    """A decision as it was taken down.

    Attributes:
        at: Clock since boot, read just before the check.
        wall: What the clock on the wall showed the gate.
        question: What was asked.
        answer: Number of the answer.
        epoch: Epoch it rests on.
        position: Position it rests on.
        at_least: The token that was shown, as epoch and position.
    """

    at: float
    wall: datetime
    question: Question
    answer: int
    epoch: str
    position: int
    at_least: tuple[str, int] | None = None


@dataclass
class Life:
    """One life of a replica, from the start of its process to its end, as seen from outside.

    Attributes:
        newest_proof: When, at the latest, a head read that had been answered by a time can have begun.
        loaded_at: It was not completely loaded before.
        heard_fences: When it heard of each fenced id.
    """

    newest_proof: Callable[[float], float]
    loaded_at: float = inf
    heard_fences: dict[str, float] = field(default_factory=dict)


class Verdict(NamedTuple):
    """A decision condemned."""

    decision: Decision
    faults: tuple[Fault, ...]


class Judge:
    """Judges by one chronicle, whose present end must not lie before the decisions.

    Args:
        chronicle: What the ledger held and when.
        windows: What was promised.

    Attributes:
        answers: How many decisions had which answer.
        faults: How many decisions had which fault.
        condemned: The first of them.
    """

    def __init__(self, chronicle: Chronicle, windows: Windows) -> None:
        self._chronicle = chronicle
        self._windows = windows
        self.answers: Counter[int] = Counter()
        self.faults: Counter[Fault] = Counter()
        self.condemned: list[Verdict] = []

    @property
    def decisions(self) -> int:
        """How many decisions were judged."""
        return self.answers.total()

    def judge(self, decision: Decision, life: Life) -> tuple[Fault, ...]:
        """Return what is wrong with a decision, and count it."""
        self.answers[decision.answer] += 1
        if decision.answer == consent_pb2.ANSWER_PERMIT:
            faults = tuple(self._permit(decision, life))
        elif decision.answer not in _UNDECIDED and self._is_needless(decision, life):
            faults = (Fault.NEEDLESS,)
        else:
            return ()
        self.faults.update(faults)
        if faults and len(self.condemned) < _MOST_KEPT:
            self.condemned.append(Verdict(decision, faults))
        return faults

    def _permit(self, decision: Decision, life: Life) -> list[Fault]:
        chronicle, question, wall = self._chronicle, decision.question, decision.wall
        number = chronicle.number(decision.epoch, decision.position)
        if number is None:
            return [Fault.NOWHERE]
        continues = chronicle.continues(number, question, wall)
        since = decision.at - (self._windows.continuation_s if continues else self._windows.bound_s)
        found = {
            Fault.LATE: not chronicle.permits_within(question, wall, since, decision.at),
            Fault.OUTDATED: chronicle.overtaken_at(number) <= since,
            Fault.WITHOUT_PROOF: life.newest_proof(decision.at) <= since,
            Fault.WRONG: not chronicle.permits(number, question, wall),
            Fault.FENCED: self._has_heard_of_fence(number, decision, life),
            Fault.COLD: decision.at < life.loaded_at,
            Fault.TOKEN: decision.at_least is not None and not _meets(decision, *decision.at_least),
        }
        return [fault for fault, is_so in found.items() if is_so]

    def _is_needless(self, decision: Decision, life: Life) -> bool:
        number = self._chronicle.number(decision.epoch, decision.position)
        return (
            number is not None
            and self._chronicle.is_head(number, decision.at)
            and self._chronicle.permits(number, decision.question, decision.wall)
            and not self._has_heard_of_fence(number, decision, life)
        )

    def _has_heard_of_fence(self, number: int, decision: Decision, life: Life) -> bool:
        if not life.heard_fences:
            return False
        ids = self._chronicle.closure(number, decision.question.person)
        return any(life.heard_fences.get(each, inf) <= decision.at for each in ids)


def _meets(decision: Decision, epoch: str, position: int) -> bool:
    return decision.epoch == epoch and decision.position >= position
