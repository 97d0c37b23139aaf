"""Prices a basket: published prices, promotions, floors, tax; every line as components that sum exactly to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.lines import Component, KeptLine, Line, Part, PricedBasket, PricedLine, Use
from rapport_pricing.domain.money import MAX_AMOUNT, allocate
from rapport_pricing.domain.promotions import (
    NOTHING,
    Entitlements,
    Promotion,
    PromotionBook,
    Step,
    Subject,
    in_scope,
    stack,
    usable,
)
from rapport_pricing.domain.tax import Taxed, TaxPoint, TaxPolicy, tax_lines, taxed, totals


def price_basket(
    lines: Sequence[Line],
    book: PromotionBook,
    *,
    market: str,
    at_us: int,
    tax: TaxPolicy,
    brought: Entitlements = NOTHING,
    charges: Sequence[Taxed] = (),
) -> PricedBasket:
    """Price a basket; the same arguments give the same answer, for ever.

    What personal data add can change which promotions stand together, even where it takes nothing off itself. So the
    basket is priced without them too, and that is the answer unless a personal promotion makes it cost less.

    Args:
        lines: What is asked for.
        book: Promotions of that time.
        market: Whose promotions hold.
        at_us: When, in microseconds UTC.
        tax: How the market taxes.
        brought: Codes, tier and offers of the customer; tier and offers only where the gate permitted.
        charges: What cannot be avoided beside the lines.

    Raises:
        RapportError: BASKET_INVALID, there is no line.
    """
    if not lines:
        raise ERRORS.error("BASKET_INVALID", "a basket has a line", field="lines")
    plain = _price(lines, book, market, at_us, tax, Entitlements(brought.codes), charges)
    if not brought.personal:
        return plain
    priced = _price(lines, book, market, at_us, tax, brought, charges)
    return priced if priced.personalised and priced.totals.gross < plain.totals.gross else plain


def _price(
    lines: Sequence[Line],
    book: PromotionBook,
    market: str,
    at_us: int,
    tax: TaxPolicy,
    brought: Entitlements,
    charges: Sequence[Taxed],
) -> PricedBasket:
    if not (brought.offers or book.for_basket()) and (tax.point is TaxPoint.LINE or len(lines) == 1):
        kept = _priced_alike(lines, book, market, at_us, tax, charges)
        if kept is not None:
            return kept
    parts: list[list[Component]] = []
    amounts: list[int] = []
    uses: dict[str, Use] = {}
    alone: list[bool] = []
    for line in lines:
        steps = _steps(line, lines, book, market, at_us, brought)
        amount, components = _apply(line, steps, uses)
        parts.append(components)
        amounts.append(amount)
        alone.append(bool(steps) and steps[0].promotion.exclusive)
    for promotion in book.for_basket():
        if usable(promotion, market, at_us, brought):
            _off_basket(promotion, lines, amounts, parts, uses, alone)
    priced = tuple(
        _finished(line, amount, components, tax)
        for line, amount, components in zip(
            lines,
            tax_lines([(amount, line.tax_ppm) for amount, line in zip(amounts, lines, strict=True)], tax),
            parts,
            strict=True,
        )
    )
    used = tuple(use for use in uses.values() if use.amount)
    return PricedBasket(
        lines=priced,
        totals=totals([each.amount for each in priced], charges),
        uses=used,
        personalised=any(use.promotion.personal for use in used),
    )


def _priced_alike(
    lines: Sequence[Line],
    book: PromotionBook,
    market: str,
    at_us: int,
    tax: TaxPolicy,
    charges: Sequence[Taxed],
) -> PricedBasket | None:
    """Return a basket that costs the same for everybody; None if a line in it does not."""
    priced: list[PricedLine] = []
    uses: dict[str, Use] = {}
    for line in lines:
        kept = line.kept
        if (
            kept is None
            or kept.book is not book
            or not kept.since_us <= at_us < kept.until_us
            or kept.market != market
            or kept.tax != tax
        ):
            kept = _keep(line, book, market, at_us, tax)
        if kept.priced is None:
            return None
        priced.append(kept.priced)
        for promotion, taken in kept.uses:
            _count(uses, promotion, taken)
    used = tuple([use for use in uses.values() if use.amount])
    return PricedBasket(tuple(priced), totals([each.amount for each in priced], charges), used, personalised=False)


def _keep(line: Line, book: PromotionBook, market: str, at_us: int, tax: TaxPolicy) -> KeptLine:
    """Price a line alone, and keep it until the next promotion for it begins or ends."""
    found = book.for_line(_subject(line))
    if any(each.personal or each.code or each.minimum_spend for each in found):
        kept = KeptLine(book, market, tax, 0, MAX_AMOUNT, None)
    else:
        turns = [turn for each in found for turn in (each.since_us, each.until_us)]
        since_us = max([turn for turn in turns if turn <= at_us], default=0)
        until_us = min([turn for turn in turns if turn > at_us], default=MAX_AMOUNT)
        uses: dict[str, Use] = {}
        amount, components = _apply(line, _steps(line, [line], book, market, at_us, NOTHING), uses)
        priced = _finished(line, taxed(amount, line.tax_ppm, tax), components, tax)
        kept = KeptLine(book, market, tax, since_us, until_us, priced, tuple(uses.values()))
    object.__setattr__(line, "kept", kept)
    return kept


def _apply(line: Line, steps: Sequence[Step], uses: dict[str, Use]) -> tuple[int, list[Component]]:
    """Return what a line costs once promotions took theirs off, and what that is made of; count their uses."""
    amount = line.published * line.quantity
    components = [Component(Part.PUBLISHED, line.product_id, line.price_version, amount)]
    for promotion, off, held in steps:
        taken = off * line.quantity
        components.append(_taken(promotion, taken, line.floor_rule if held else ""))
        amount -= taken
        _count(uses, promotion, taken)
    return amount, components


def _steps(
    line: Line, lines: Sequence[Line], book: PromotionBook, market: str, at_us: int, brought: Entitlements
) -> Sequence[Step]:
    """Return what promotions take off one piece of a line."""
    subject = _subject(line)
    found: Iterable[Promotion] = book.for_line(subject)
    if brought.offers:
        found = [*found, *(each for each in brought.offers if in_scope(each.scope, subject))]
    candidates = [
        each
        for each in found
        if usable(each, market, at_us, brought)
        and (not each.minimum_spend or _spend(each, lines) >= each.minimum_spend)
    ]
    return stack(candidates, subject) if candidates else ()


def _finished(line: Line, amount: Taxed, components: list[Component], tax: TaxPolicy) -> PricedLine:
    if not tax.included and amount.tax:
        components.append(Component(Part.TAX, "", line.tax_ppm, amount.tax))
    return PricedLine(line, amount, tuple(components))


def _taken(promotion: Promotion, amount: int, rule: str) -> Component:
    part = Part.PERSONAL if promotion.personal else Part.PROMOTION
    return Component(part, promotion.promotion_id, promotion.version, -amount, rule)


def _count(uses: dict[str, Use], promotion: Promotion, amount: int) -> None:
    before = uses.get(promotion.promotion_id)
    uses[promotion.promotion_id] = Use(promotion, amount + (before.amount if before else 0))


def _subject(line: Line) -> Subject:
    return Subject(line.product_id, line.category, line.brand_id, line.published, line.floor)


def _spend(promotion: Promotion, lines: Sequence[Line]) -> int:
    return sum(line.published * line.quantity for line in lines if in_scope(promotion.scope, _subject(line)))


def _off_basket(
    promotion: Promotion,
    lines: Sequence[Line],
    amounts: list[int],
    parts: list[list[Component]],
    uses: dict[str, Use],
    alone: Sequence[bool],
) -> None:
    """Spread an amount over lines in scope that have no exclusive promotion, by what is left above the floor."""
    room = [
        max(amount - line.floor * line.quantity, 0) if not single and in_scope(promotion.scope, _subject(line)) else 0
        for line, amount, single in zip(lines, amounts, alone, strict=True)
    ]
    if not any(room) or _spend(promotion, lines) < promotion.minimum_spend:
        return
    held = promotion.value > sum(room)
    for at, off in enumerate(allocate(min(promotion.value, sum(room)), room)):
        if off:
            amounts[at] -= off
            parts[at].append(_taken(promotion, off, lines[at].floor_rule if held else ""))
            _count(uses, promotion, off)
