"""Quotes: a priced basket bound to a customer, a channel and an end, in bytes that can be signed and made again.

The canonical bytes are one JSON array in a fixed order, of integers and strings only, in ASCII without blanks: the same
quote has the same bytes in every language. Times are microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from json.encoder import encode_basestring_ascii as _text
from typing import Final

from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.lines import PricedBasket, PricedLine

FORMAT: Final = "rapport.quote.1"

_PERSONAL: Final = "quo_personal"


@dataclass(frozen=True, slots=True)
class Quote:
    """What a customer was promised.

    Attributes:
        quote_id: Of the quote.
        decision_id: Explains it later.
        market: Where it holds.
        currency: Of every amount.
        channel: Where it may be redeemed; never an input of a price.
        customer_id: Who may redeem it; empty for whoever holds it.
        basket: Lines, components, totals and uses.
        law_rules: Rules of law that were in force.
        disclosures: Codes of the texts it carries.
        permit: Grant that personal prices rest on; empty where there are none.
        issued_us: When.
        expires_us: From when it can be redeemed no more.
    """

    quote_id: str
    decision_id: str
    market: str
    currency: str
    channel: str
    customer_id: str
    basket: PricedBasket
    law_rules: tuple[str, ...]
    disclosures: tuple[str, ...]
    permit: str
    issued_us: int
    expires_us: int


def personal_id(quote_id: str) -> str:
    """Return the id of a quote that personal data lowered: as random as the one that was drawn, and it says so.

    Whoever hears of the quote knows at once that it says nothing of the published price: in another process, before its
    journal is written or though that was lost, and after its decision was erased.
    """
    return _PERSONAL + quote_id.removeprefix("quo_")


def is_personal(quote_id: str) -> bool:
    """Return whether personal data lowered a quote, by its id; quotes of releases before this one do not say so."""
    return quote_id.startswith(_PERSONAL)


def canonical(quote: Quote) -> bytes:
    """Return the bytes of a quote to sign, to store and to compare."""
    basket = quote.basket
    totals = basket.totals
    uses = [f"[{_text(use.promotion.promotion_id)},{use.promotion.version},{use.amount}]" for use in basket.uses]
    return (
        f'["{FORMAT}",{_text(quote.quote_id)},{_text(quote.decision_id)},{_text(quote.market)},{_text(quote.currency)},'
        f"{_text(quote.channel)},{_text(quote.customer_id)},[{','.join([_line(each) for each in basket.lines])}],"
        f"[{totals.net},{totals.tax},{totals.gross},{totals.all_in}],[{','.join(uses)}],{int(basket.personalised)},"
        f"[{','.join(map(_text, quote.law_rules))}],[{','.join(map(_text, quote.disclosures))}],{_text(quote.permit)},"
        f"{quote.issued_us},{quote.expires_us}]"
    ).encode("ascii")


def _line(priced: PricedLine) -> str:
    line, amount, components = priced
    kept = line.kept
    if kept is not None and kept.priced is priced and kept.text:
        return kept.text
    parts = [
        f"[{_text(part.value)},{_text(ref)},{version},{taken},{_text(rule)}]"
        for part, ref, version, taken, rule in components
    ]
    text = (
        f"[{_text(line.product_id)},{_text(line.variant_id)},{_text(line.category)},{_text(line.brand_id)},"
        f"{line.quantity},{line.published},{line.price_version},{line.tax_ppm},{line.floor},{_text(line.floor_rule)},"
        f"[{amount.net},{amount.tax},{amount.gross}],[{','.join(parts)}]]"
    )
    if kept is not None and kept.priced is priced:
        kept.text = text
    return text


def check_redeemable(quote: Quote, *, customer_id: str, channel: str, at_us: int) -> None:
    """Check that a quote whose signature was verified may be redeemed here and now.

    Raises:
        RapportError: QUOTE_OTHER_CUSTOMER, QUOTE_OTHER_CHANNEL or QUOTE_EXPIRED.
    """
    if quote.customer_id and quote.customer_id != customer_id:
        raise ERRORS.error("QUOTE_OTHER_CUSTOMER", "the quote was made for another customer")
    if quote.channel and quote.channel != channel:
        raise ERRORS.error("QUOTE_OTHER_CHANNEL", "the quote was made for another channel")
    if at_us >= quote.expires_us:
        raise ERRORS.error("QUOTE_EXPIRED", "the quote ran out")


class Settlement(Enum):
    """What became of prices between quote and order."""

    AS_QUOTED = "as_quoted"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Settled:
    """What the customer pays.

    Attributes:
        basket: As quoted, or as it costs now where that is less.
        settlement: Which of the two.
    """

    basket: PricedBasket
    settlement: Settlement


def settle(quoted: PricedBasket, now: PricedBasket) -> Settled:
    """Return what an order costs: a drop since the quote is passed on, a rise is refused until it is quoted again.

    Args:
        quoted: Of the quote.
        now: The same lines and promotions, priced at the instant of the order.

    Raises:
        RapportError: PRICE_RISEN, a published price rose or the basket costs more; the metadata has both totals, so
            that the customer can be asked.
    """
    before = {_key(line.line.product_id, line.line.variant_id): line.line.published for line in quoted.lines}
    risen = any(each.line.published > before[_key(each.line.product_id, each.line.variant_id)] for each in now.lines)
    if now.totals.all_in > quoted.totals.all_in or risen:
        raise ERRORS.error("PRICE_RISEN", "a price rose since the quote", metadata=_totals(quoted, now))
    if now.totals.all_in < quoted.totals.all_in:
        return Settled(now, Settlement.DROPPED)
    return Settled(quoted, Settlement.AS_QUOTED)


def _key(product_id: str, variant_id: str) -> tuple[str, str]:
    return product_id, variant_id


def _totals(quoted: PricedBasket, now: PricedBasket) -> Mapping[str, str]:
    return {"quoted": str(quoted.totals.all_in), "now": str(now.totals.all_in)}
