import random
from dataclasses import replace

import pytest
from pricing_inventions import AMERICA, EUROPE, invented_promotion, line, promotion
from rapport_chassis.errors import RapportError
from rapport_pricing.domain.baskets import price_basket
from rapport_pricing.domain.lines import PricedBasket
from rapport_pricing.domain.promotions import Audience, Benefit, Entitlements, Promotion, PromotionBook, Scope
from rapport_pricing.domain.quotes import Quote, canonical


def amount_of(*promotions: Promotion, lines=None, at_us: int = 5, brought: Entitlements | None = None) -> int:
    return price_basket(
        lines or [line()], PromotionBook(promotions), market="DE", at_us=at_us, tax=EUROPE,
        brought=brought or Entitlements(),
    ).totals.gross  # fmt: skip


TWENTY = promotion("twenty", Benefit.AMOUNT_EACH, 2000, order=1)
TENTH = promotion("tenth", Benefit.PERCENT, 100_000, order=2)


def test_the_order_of_promotions_is_part_of_the_contract():
    assert amount_of(TWENTY, TENTH) == 7200
    assert amount_of(TENTH, TWENTY) == 7200
    assert amount_of(replace(TWENTY, order=3), TENTH) == 7000
    assert amount_of(TWENTY, replace(TENTH, of_initial=True)) == 7000
    assert amount_of(replace(TWENTY, order=0), replace(TENTH, order=0)) == 7000, "by id: tenth before twenty"


def test_an_exclusive_promotion_stands_alone_and_only_where_it_is_the_cheaper():
    alone = promotion("alone", Benefit.PERCENT, 300_000, exclusive=True)
    assert amount_of(TWENTY, TENTH, alone) == 7000
    assert amount_of(TWENTY, TENTH, replace(alone, value=280_000)) == 7200
    basket = price_basket(
        [line()], PromotionBook([TWENTY, TENTH, replace(alone, value=280_000)]), market="DE", at_us=5, tax=EUROPE
    )
    assert [use.promotion.promotion_id for use in basket.uses] == ["twenty", "tenth"], "of equals the joint ones"
    voucher = promotion("voucher", Benefit.AMOUNT_BASKET, 500)
    assert amount_of(alone, voucher) == 7000, "nothing joins an exclusive one"
    assert amount_of(TENTH, voucher) == 8500


def test_of_a_group_the_one_that_takes_most_off_applies():
    assert amount_of(replace(TWENTY, group="g"), replace(TENTH, group="g")) == 8000
    assert amount_of(replace(TWENTY, group="g", value=500), replace(TENTH, group="g")) == 9000
    assert amount_of(replace(TWENTY, group="g"), replace(TENTH, group="h")) == 7200


def test_a_personal_promotion_that_only_keeps_another_from_applying_does_not_apply():
    low = promotion("low", Benefit.PRICE_EACH, 4000)
    gold = promotion(
        "gold", Benefit.PRICE_EACH, 4500, order=2, group="g", audience=Audience.LOYALTY, loyalty="gold"
    )  # alone it takes more off than a tenth, after the other one nothing
    book = PromotionBook([low, gold, replace(TENTH, group="g")])

    def basket(brought: Entitlements) -> PricedBasket:
        return price_basket([line()], book, market="DE", at_us=5, tax=EUROPE, brought=brought)

    assert basket(Entitlements(loyalty="gold")) == basket(Entitlements())
    assert basket(Entitlements()).totals.gross == 3600


@pytest.mark.parametrize(
    ("changed", "applies"),
    [
        ({"scope": Scope(products=frozenset({"prd_book0001"}))}, True),
        ({"scope": Scope(products=frozenset({"prd_other001"}))}, False),
        ({"scope": Scope(categories=frozenset({"books"}), brands=frozenset({"acme"}))}, True),
        ({"scope": Scope(categories=frozenset({"books"}), brands=frozenset({"other"}))}, False),
        ({"scope": Scope(brands=frozenset({"acme"}))}, True),
        ({"scope": Scope(markets=frozenset({"FR"}))}, False),
        ({"scope": Scope(markets=frozenset({"DE"}))}, True),
        ({"since_us": 5}, True),
        ({"since_us": 6}, False),
        ({"until_us": 5}, False),
        ({"until_us": 6}, True),
        ({"code": "SPRING"}, False),
        ({"code": "AUTUMN"}, True),
        ({"audience": Audience.LOYALTY, "loyalty": "gold"}, True),
        ({"audience": Audience.LOYALTY, "loyalty": "iron"}, False),
        ({"minimum_spend": 10_000}, True),
        ({"minimum_spend": 10_001}, False),
    ],
)
def test_a_promotion_holds_for_its_scope_time_code_tier_and_spend(changed, applies):
    brought = Entitlements(frozenset({"AUTUMN"}), "gold")
    assert amount_of(replace(TENTH, **changed), brought=brought) == (9000 if applies else 10_000)


def test_a_floor_holds_a_promotion_back_and_is_named():
    basket = price_basket(
        [line(floor=8500, floor_rule="cost.margin", quantity=3)], PromotionBook([TWENTY, TENTH]), market="DE", at_us=5,
        tax=EUROPE,
    )  # fmt: skip
    assert basket.totals.gross == 3 * 8500
    assert [(part.ref, part.amount, part.rule) for part in basket.lines[0].components] == [
        ("prd_book0001", 30_000, ""), ("twenty", -4500, "cost.margin"), ("tenth", 0, "cost.margin"),
    ]  # fmt: skip


def test_an_amount_off_the_basket_is_spread_over_the_lines_in_scope_to_the_cent():
    lines = [line(1000), line(1000), line(1000, category="food")]
    off = promotion("ten", Benefit.AMOUNT_BASKET, 333, scope=Scope(categories=frozenset({"books"})))
    basket = price_basket(lines, PromotionBook([off]), market="DE", at_us=5, tax=EUROPE)
    assert [each.amount.gross for each in basket.lines] == [833, 834, 1000]
    assert amount_of(replace(off, value=9_999_999), lines=lines) == 1000
    assert amount_of(replace(off, minimum_spend=2001), lines=lines) == 3000
    assert amount_of(replace(off, minimum_spend=2000), lines=lines) == 2667


def test_a_promotion_or_a_basket_that_means_nothing_is_refused():
    for change in ({"value": -1}, {"value": 1_000_001}, {"until_us": 0}, {"loyalty": "gold"}):
        with pytest.raises(RapportError) as caught:
            replace(TENTH, **change)
        assert caught.value.reason.name == "PROMOTION_INVALID"
    with pytest.raises(RapportError):
        promotion("x", Benefit.AMOUNT_BASKET, 1, exclusive=True)
    with pytest.raises(RapportError):
        PromotionBook([TENTH, TENTH])
    for broken in (lambda: line(quantity=0), lambda: line(published=-1), lambda: price_basket(
        [], PromotionBook([]), market="DE", at_us=0, tax=EUROPE)):  # fmt: skip
        with pytest.raises(RapportError) as caught:
            broken()
        assert caught.value.reason.name == "BASKET_INVALID"


def test_a_line_that_was_priced_before_costs_what_it_costs_anew():
    draw = random.Random(5)
    elsewhere = promotion(
        "ofr_1", Benefit.AMOUNT_EACH, 5, audience=Audience.INDIVIDUAL, scope=Scope(frozenset({"none"}))
    )
    for _ in range(60):
        lines = [line(draw.randint(1, 9000), each, category=name) for each, name in enumerate(("books", "food"), 1)]
        books = [
            PromotionBook([invented_promotion(draw, f"p{number}") for number in range(draw.randint(0, 2))])
            for _ in range(2)
        ]
        for _ in range(6):
            book, at_us, market = draw.choice(books), draw.randint(0, 6), draw.choice(["DE", "FR"])
            tax = draw.choice([EUROPE, AMERICA])
            codes, loyalty = draw.choice([frozenset(), frozenset({"X"})]), draw.choice(["", "gold"])
            again = price_basket(lines, book, market=market, at_us=at_us, tax=tax, brought=Entitlements(codes, loyalty))
            anew = price_basket(
                [replace(each) for each in lines],
                book,
                market=market,
                at_us=at_us,
                tax=tax,
                brought=Entitlements(codes, loyalty, (elsewhere,)),
            )
            assert again == anew
            texts = [
                canonical(Quote("q", "d", market, "EUR", "", "", basket, (), (), "", 1, 2)) for basket in (again, anew)
            ]
            assert texts[0] == texts[1]
