"""Who is whose, and what the gate answers about profiling them."""

from __future__ import annotations

from typing import Final, NoReturn

from rapport_privacy.decision import Decision
from rapport_privacy.replica import Replica
from rapport_privacy.vocabulary import Answer, Reason

from rapport_churn.app.ports import Scope
from rapport_churn.domain.errors import ERRORS

_RETRY_AFTER_S: Final = 0.5
_NEGATIVES: Final = frozenset((Reason.REFUSED, Reason.WITHDRAWN, Reason.OBJECTED, Reason.OPTED_OUT))
_UNKNOWN: Final = frozenset((Answer.DENY_STALE, Answer.DENY_UNKNOWN))


class LedgerPeople:
    """`People`, from the replica that decisions are made from: both always speak of the same moment.

    Args:
        replica: The gate's.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def ids_of(self, current_id: str) -> tuple[str, ...]:
        """Return every id that stands for a person, the current one first."""
        # Only who was merged has other ids, and is in the dictionary then.
        subject = self._replica.contents.recent.get(current_id)
        if subject is None or not subject.redirect_ids:
            return (current_id,)
        return subject.profile_id, *subject.redirect_ids


def scope_of(decision: Decision) -> Scope | None:
    """Return what must be taken away from a person because of an answer; None for nothing.

    A no of the person takes the facts, too: they were collected for what was refused. The absence of a decision, an
    expiry or a restriction takes the scores alone, and an answer for want of knowledge nothing.
    """
    if decision.permitted or decision.answer in _UNKNOWN:
        return None
    if is_erased(decision):
        return Scope.ALL
    return Scope.FACTS if decision.reason in _NEGATIVES else Scope.SCORES


def is_erased(decision: Decision) -> bool:
    """Whether an answer says that the person was erased."""
    return decision.reason == Reason.ERASED


def refuse(decision: Decision) -> NoReturn:
    """Refuse what the gate did not permit.

    Raises:
        RapportError: PROFILE_ERASED, PERMISSION_UNKNOWN, PROFILING_DENIED.
    """
    if is_erased(decision):
        raise ERRORS.error("PROFILE_ERASED", "the person was erased")
    if decision.answer == Answer.DENY_STALE:
        raise ERRORS.error("PERMISSION_UNKNOWN", "the gate does not know freshly enough", retry_after_s=_RETRY_AFTER_S)
    name = Reason(decision.reason).name if decision.reason in list(Reason) else "UNSPECIFIED"
    raise ERRORS.error(
        "PROFILING_DENIED",
        "the gate denies the purpose of profiling",
        metadata={"reason": name, "position": str(decision.position)},
    )
