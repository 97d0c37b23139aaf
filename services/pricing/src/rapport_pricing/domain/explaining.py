"""Says why a price is what it is: rows that sum exactly to it, each a code with parameters for a catalogue of texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.guardrails import Guarded, Verdict
from rapport_pricing.domain.lines import Part, PricedBasket
from rapport_pricing.domain.quotes import Quote, canonical

CODES: Final = {
    Part.PUBLISHED: "pricing.explain.published",
    Part.PROMOTION: "pricing.explain.promotion",
    Part.PERSONAL: "pricing.explain.personal_offer",
    Part.TAX: "pricing.explain.tax",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One reason.

    Attributes:
        line: Which line of the basket, from 0.
        code: Of the text.
        ref: What it refers to: a product, a promotion, an offer.
        version: Of that.
        amount: Minor units that it adds to the line.
        rule: The guardrail that bound it; empty for none.
    """

    line: int
    code: str
    ref: str
    version: int
    amount: int
    rule: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a basket costs what it costs; the rows of a line sum to its gross amount.

    Attributes:
        rows: Line by line, in the order they were applied.
        gross: Sum of the rows.
        all_in: With charges that cannot be avoided.
        law_rules: Rules of law in force.
        disclosures: Codes of the texts it had to carry.
        personalised: Whether personal data changed an amount.
        permit: The grant that this rests on.
    """

    rows: tuple[Row, ...]
    gross: int
    all_in: int
    law_rules: tuple[str, ...]
    disclosures: tuple[str, ...]
    personalised: bool
    permit: str


def explain(quote: Quote) -> Explanation:
    """Explain a quote from what it holds.

    Raises:
        RapportError: QUOTE_TAMPERED, its components do not sum to its price.
    """
    rows = tuple(_rows(quote.basket))
    if sum(row.amount for row in rows) != quote.basket.totals.gross:
        raise ERRORS.error("QUOTE_TAMPERED", "the components do not sum to the price")
    return Explanation(
        rows=rows,
        gross=quote.basket.totals.gross,
        all_in=quote.basket.totals.all_in,
        law_rules=quote.law_rules,
        disclosures=quote.disclosures,
        personalised=quote.basket.personalised,
        permit=quote.permit,
    )


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


def _rows(basket: PricedBasket) -> Iterable[Row]:
    for place, line in enumerate(basket.lines):
        for part, ref, version, amount, rule in line.components:
            yield Row(place, CODES[part], ref, version, amount, rule)
