"""Lines, promotions and quotes that are made up: by hand, or by chance, the same for the same seed."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date
from typing import Any

from rapport_pricing.domain.baskets import price_basket
from rapport_pricing.domain.law import shipped_law
from rapport_pricing.domain.lines import Line
from rapport_pricing.domain.personal import Permit, entitlements
from rapport_pricing.domain.promotions import Audience, Benefit, Caps, Promotion, PromotionBook, Scope
from rapport_pricing.domain.quotes import Quote
from rapport_pricing.domain.tax import TaxPoint, TaxPolicy

LAW = shipped_law()
EUROPE = TaxPolicy(included=True)
AMERICA = TaxPolicy(included=False)


def line(published: int = 10_000, quantity: int = 1, **more: Any) -> Line:
    """A line of books."""
    values: dict[str, Any] = {
        "product_id": "prd_book0001", "variant_id": "", "category": "books", "brand_id": "acme",
        "price_version": 3, "tax_ppm": 190_000,
    }  # fmt: skip
    return Line(**(values | more), published=published, quantity=quantity)


def promotion(name: str, benefit: Benefit, value: int, **more: Any) -> Promotion:
    """A promotion for everybody."""
    return Promotion(name, 1, benefit, value, **({"since_us": 0, "until_us": 1000} | more))


def invented_promotion(draw: random.Random, name: str) -> Promotion:
    """A promotion by chance."""
    benefit = draw.choice(list(Benefit))
    audience = draw.choice([Audience.PUBLIC, Audience.OPEN_CODE, Audience.LOYALTY])
    return Promotion(
        name,
        draw.randint(1, 5),
        benefit,
        draw.randint(0, 600_000 if benefit is Benefit.PERCENT else 9000),
        0,
        draw.choice([3, 1000]),
        order=draw.randint(0, 3),
        exclusive=benefit is not Benefit.AMOUNT_BASKET and draw.random() < 0.2,
        group=draw.choice(["", "", "a", "b"]),
        of_initial=draw.random() < 0.5,
        scope=Scope(
            categories=frozenset(draw.sample(["books", "food", "toys"], draw.randint(0, 2))),
            markets=frozenset(draw.sample(["DE", "FR"], draw.randint(0, 1))),
        ),
        audience=audience,
        code=draw.choice(["", "X"]),
        loyalty="gold" if audience is Audience.LOYALTY else "",
        minimum_spend=draw.choice([0, 0, 8000]),
        caps=Caps(uses=5) if draw.random() < 0.3 else Caps(),
    )


def invented_quote(seed: int, *, permit: Permit) -> tuple[Quote, int]:
    """Return a quote, and what the basket costs as published."""
    draw = random.Random(seed)
    lines = []
    for number in range(draw.randint(1, 6)):
        published = draw.randint(1, 20_000)
        floor = draw.randint(0, published)
        lines.append(
            line(
                published, draw.randint(1, 4), product_id=f"prd_{number:08d}", category=draw.choice(["books", "food"]),
                tax_ppm=draw.choice([0, 70_000, 190_000]), floor=floor, floor_rule="cost.floor",
            )
        )  # fmt: skip
    book = PromotionBook([invented_promotion(draw, f"p{number}") for number in range(draw.randint(0, 8))])
    offers = [
        replace(invented_promotion(draw, f"ofr_{number:08d}"), audience=Audience.INDIVIDUAL, loyalty="")
        for number in range(2)
    ]
    offers = [each for each in offers if each.benefit is not Benefit.AMOUNT_BASKET]
    law = LAW.in_force(market := draw.choice(["DE", "US-NY"]), "books", date(2026, 11, 22))
    brought = entitlements(permit, law, codes={"X"}, loyalty="gold", offers=offers, inputs=["loyalty_tier"])
    tax = TaxPolicy(draw.random() < 0.5, draw.choice(list(TaxPoint)))
    basket = price_basket(lines, book, market=market, at_us=5, tax=tax, brought=brought)
    texts = tuple(each.text_code for each in law.disclosures) if basket.personalised else ()
    quote = Quote(
        "quo_00000001", "dec_00000001", market, "EUR", "web", "prf_00000001", basket, law.rule_ids, texts,
        permit.reference if basket.personalised else "", 5, 900,
    )  # fmt: skip
    return quote, sum(each.published * each.quantity for each in lines)
