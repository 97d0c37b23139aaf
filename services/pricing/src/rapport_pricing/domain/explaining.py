"""Says why a price is what it is: the codes of its components, whether it replays, and what each guardrail did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.guardrails import Guarded, Verdict
from rapport_pricing.domain.lines import Part
from rapport_pricing.domain.quotes import Quote, canonical

CODES: Final = {
    Part.PUBLISHED: "pricing.explain.published",
    Part.PROMOTION: "pricing.explain.promotion",
    Part.PERSONAL: "pricing.explain.personal_offer",
    Part.TAX: "pricing.explain.tax",
}
"""Of the texts that say what a component is."""


def check_replay(stored: bytes, replayed: Quote) -> None:
    """Check that pricing again, from what the ledger holds of that time, gives the bytes that were signed.

    Raises:
        RapportError: QUOTE_TAMPERED, it does not.
    """
    if canonical(replayed) != stored:
        raise ERRORS.error("QUOTE_TAMPERED", "the decision does not replay to the same bytes")


@dataclass(frozen=True, slots=True)
class RuleRow:
    """What a guardrail did to a published price."""

    rule_id: str
    tier: str
    floor: int | None
    ceiling: int | None
    verdict: Verdict


def explain_guarded(guarded: Guarded) -> tuple[RuleRow, ...]:
    """Return every rule that was looked at for a published price, strongest first."""
    return tuple(
        RuleRow(each.rule.rule_id, each.rule.tier.name.lower(), each.floor, each.ceiling, each.verdict)
        for each in guarded.looked_at
    )
