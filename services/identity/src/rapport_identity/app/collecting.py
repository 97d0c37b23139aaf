"""Asks the gate what may be collected, and whether a device may be linked to a person."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.ids import new_id
from rapport_privacy.decision import Decision
from rapport_privacy.permits import Permits

from rapport_identity.app.facts import Outcome, Refusal
from rapport_identity.domain.declarations import TypeTerms
from rapport_identity.domain.permission import Verdict, together
from rapport_identity.domain.touchpoints import Touchpoint, asked, cut, is_whole, needing

_RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate leaves of a touchpoint.

    Attributes:
        offered: As it came.
        kept: What may be kept; None if nothing may.
        permits: The gate's answer for each purpose that it may serve.
        refusals: Purposes it is not kept for.
    """

    offered: Touchpoint
    kept: Touchpoint | None
    permits: Mapping[str, Verdict]
    refusals: tuple[Refusal, ...]

    @property
    def outcome(self) -> Outcome:
        """What that means for the touchpoint."""
        if self.kept is None:
            return Outcome.REFUSED
        return Outcome.RECORDED if is_whole(self.kept, self.offered) else Outcome.RECORDED_IN_PART

    @property
    def undecided(self) -> tuple[str, ...]:
        """The purposes that the gate may permit as soon as it knows more."""
        return tuple(each.purpose_id for each in self.refusals if each.verdict is not None and each.verdict.is_stale)

    @property
    def is_final(self) -> bool:
        """Whether every refusal is one that a repeat must not undo."""
        return all(each.verdict is None or each.verdict.is_of_the_person for each in self.refusals)


def judge(gate: Permits, offered: Touchpoint, terms: TypeTerms, profile_ids: Collection[str]) -> Judged:
    """Return what may be collected of a touchpoint.

    Args:
        gate: Asked now, so call it at the instant of the effect.
        offered: The touchpoint.
        terms: What is declared of its type.
        profile_ids: Whom it leads to, all of them one person if it is recorded; empty for somebody new.

    Raises:
        RapportError: BRAND_REQUIRED.
    """
    subjects = profile_ids or (new_id("profile"),)  # once for all questions

    def of(purpose_id: str, data_category: str) -> Decision:
        return _ask(gate, offered, purpose_id, data_category, subjects)

    decisions = {purpose_id: of(purpose_id, terms.data_category) for purpose_id in asked(offered, terms)}
    permitted = [purpose_id for purpose_id, decision in decisions.items() if decision.permitted]
    full = needing(permitted, terms)
    categories = {
        category: {purpose_id for purpose_id in full if of(purpose_id, category).permitted}
        for category in {each.data_category for each in offered.attributes}
    }
    verdicts = {purpose_id: verdict_of(decision) for purpose_id, decision in decisions.items()}
    return Judged(
        offered,
        cut(offered, terms, permitted, categories),
        {purpose_id: verdicts[purpose_id] for purpose_id in permitted},
        tuple(Refusal(each, verdicts.get(each)) for each in offered.purpose_ids if each not in permitted),
    )


def may_link(gate: Permits, offered: Touchpoint, terms: TypeTerms, profile_ids: Collection[str]) -> bool:
    """Return whether the devices and cookies of a touchpoint may be linked to the person it is of.

    Raises:
        RapportError: BRAND_REQUIRED.
    """
    if not terms.link_purpose_id:
        return False
    return _ask(gate, offered, terms.link_purpose_id, terms.data_category, profile_ids).permitted


def ask(
    gate: Permits, profile_ids: Collection[str], purpose_id: str, *, brand_id: str, market: str, data_category: str
) -> Decision:
    """Return the gate's answer about ids that are one person, or about to be; of somebody new if there are none.

    Raises:
        RapportError: BRAND_REQUIRED.
    """
    subjects = profile_ids or (new_id("profile"),)  # of somebody new the ledger holds as little as of an unused id
    return together(
        [
            gate.check(each, purpose_id, brand_id=brand_id, market=market, data_category=data_category)
            for each in subjects
        ]
    )


def stale() -> RapportError:
    """Return the answer where the gate may permit more as soon as it knows more."""
    return CHASSIS_ERRORS.error("NOT_READY", "the gate does not know enough at present: repeat", retry_after_s=_RETRY_S)


def _ask(
    gate: Permits, offered: Touchpoint, purpose_id: str, data_category: str, subjects: Collection[str]
) -> Decision:
    return ask(
        gate,
        subjects,
        purpose_id,
        brand_id=offered.brand_id,
        market=offered.market,
        data_category=data_category,
    )


def verdict_of(decision: Decision) -> Verdict:
    """Return an answer of the gate as it is kept."""
    state = decision.state
    return Verdict(
        answer=decision.answer,
        reason=decision.reason,
        basis=decision.basis,
        purpose_version=decision.purpose_version,
        reference="" if state is None else state.reference,
        notice_id="" if state is None else state.notice_id,
        notice_version=0 if state is None else state.notice_version,
        evidence=0 if state is None else state.evidence,
        epoch=decision.epoch,
        position=decision.position,
        as_of=decision.as_of,
    )
