import json
import random
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis.errors import RapportError
from rapport_pricing.domain.baskets import price_basket
from rapport_pricing.domain.explaining import check_replay, explain
from rapport_pricing.domain.law import shipped_law
from rapport_pricing.domain.lines import Line, Part
from rapport_pricing.domain.personal import DENIED, Permit, audit_list_price, disclosures, entitlements
from rapport_pricing.domain.promotions import Audience, Benefit, Caps, Entitlements, Promotion, PromotionBook, Scope
from rapport_pricing.domain.quotes import Quote, Settlement, canonical, check_redeemable, settle
from rapport_pricing.domain.reservations import Reservation, Tally, commit, release, reserve
from rapport_pricing.domain.tax import TaxPoint, TaxPolicy

EUROPE = TaxPolicy(included=True)
AMERICA = TaxPolicy(included=False)


def line(published: int = 10_000, quantity: int = 1, **more) -> Line:
    values: dict[str, Any] = {
        "product_id": "prd_book0001", "variant_id": "", "category": "books", "brand_id": "acme",
        "price_version": 3, "tax_ppm": 190_000,
    }  # fmt: skip
    return Line(**(values | more), published=published, quantity=quantity)


def promotion(name: str, benefit: Benefit, value: int, **more) -> Promotion:
    return Promotion(name, 1, benefit, value, **({"since_us": 0, "until_us": 1000} | more))


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


def invented_promotion(draw: random.Random, name: str) -> Promotion:
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
    law = shipped_law().in_force(market := draw.choice(["DE", "US-NY"]), "books", date(2026, 11, 22))
    brought = entitlements(permit, law, codes={"X"}, loyalty="gold", offers=offers, inputs=["loyalty_tier"])
    tax = TaxPolicy(draw.random() < 0.5, draw.choice(list(TaxPoint)))
    basket = price_basket(lines, book, market=market, at_us=5, tax=tax, brought=brought)
    texts = tuple(each.text_code for each in disclosures(law, personalised=basket.personalised))
    quote = Quote(
        "quo_00000001", "dec_00000001", market, "EUR", "web", "prf_00000001", basket, law.rule_ids, texts,
        permit.reference if basket.personalised else "", 5, 900,
    )  # fmt: skip
    return quote, sum(each.published * each.quantity for each in lines)


def test_explanations_sum_to_the_price_and_personal_prices_only_lower(scale, prove):
    quotes = scale.pick(small=1000, full=100_000)
    personal = 0
    for seed in range(quotes):
        quote, published = invented_quote(seed, permit=Permit(True, "con_1", 4))
        told = explain(quote)
        assert told.gross == quote.basket.totals.gross
        for place, each in enumerate(quote.basket.lines):
            assert sum(row.amount for row in told.rows if row.line == place) == each.amount.gross
            before_tax = sum(part.amount for part in each.components if part.part is not Part.TAX)
            assert each.line.floor * each.line.quantity <= before_tax <= each.line.published * each.line.quantity
        without, same = invented_quote(seed, permit=DENIED)
        assert same == published
        assert quote.basket.totals.gross <= without.basket.totals.gross
        assert bool(quote.disclosures) == quote.basket.personalised
        personal += quote.basket.personalised
    assert 0 < personal < quotes
    prove("pricing-explanations", quotes=quotes, personal=personal, wrong=0)


def test_without_a_permit_no_personal_field_changes_a_byte(scale, prove):
    quotes = scale.pick(small=400, full=100_000)
    law = shipped_law().in_force("DE", "books", date(2026, 11, 22))
    for seed in range(quotes):
        draw = random.Random(seed)
        book = PromotionBook([invented_promotion(draw, f"p{number}") for number in range(6)])
        answers = set()
        for loyalty, offers in (("", []), ("gold", [replace(TENTH, audience=Audience.INDIVIDUAL)])):
            brought = entitlements(DENIED, law, codes={"X"}, loyalty=loyalty, offers=offers, inputs=["sex"])
            basket = price_basket([line(9000, 2)], book, market="DE", at_us=5, tax=EUROPE, brought=brought)
            answers.add(canonical(Quote("q", "d", "DE", "EUR", "", "", basket, (), (), "", 1, 2)))
        assert len(answers) == 1
    prove("pricing-without-consent", quotes=quotes, changed=0)


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


def test_a_law_that_forbids_personal_prices_is_as_good_as_no_permit():
    law = shipped_law().in_force("US-MD", "food", date(2026, 11, 22))
    offers = [replace(TENTH, audience=Audience.INDIVIDUAL)]
    found = entitlements(Permit(True), law, codes=["X"], loyalty="gold", offers=offers, inputs=[])
    assert found == Entitlements(frozenset({"X"}))


def test_the_list_price_may_not_be_raised_to_pay_for_personal_ones():
    assert audit_list_price(1000, 1000).passed
    assert audit_list_price(1010, 1000).passed
    assert not audit_list_price(1011, 1000).passed
    assert audit_list_price(900, 1000).gap_ppm == -100_000


TEXTS_AND_TIMES = (
    "quote_id", "decision_id", "market", "currency", "channel", "customer_id", "permit", "issued_us", "expires_us",
)  # fmt: skip


def test_a_decision_replays_to_the_same_bytes_and_every_field_is_in_them():
    quote, _ = invented_quote(11, permit=Permit(True, "con_1"))
    check_replay(canonical(quote), invented_quote(11, permit=Permit(True, "con_1"))[0])
    assert json.loads(canonical(quote))[0] == "rapport.quote.1"
    changed = [
        replace(quote, **{name: getattr(quote, name) + ("x" if isinstance(getattr(quote, name), str) else 1)})
        for name in TEXTS_AND_TIMES
    ] + [
        replace(quote, law_rules=("other",)),
        replace(quote, disclosures=("other",)),
        replace(quote, basket=quote.basket._replace(personalised=not quote.basket.personalised)),
        replace(quote, basket=invented_quote(12, permit=DENIED)[0].basket),
    ]  # fmt: skip
    assert len({canonical(each) for each in [quote, *changed]}) == len(changed) + 1
    for each in changed:
        with pytest.raises(RapportError, match="QUOTE_TAMPERED"):
            check_replay(canonical(quote), each)


def test_an_explanation_that_does_not_sum_is_refused():
    quote, _ = invented_quote(3, permit=DENIED)
    totals = quote.basket.totals._replace(gross=quote.basket.totals.gross + 1)
    with pytest.raises(RapportError, match="QUOTE_TAMPERED"):
        explain(replace(quote, basket=quote.basket._replace(totals=totals)))


@pytest.mark.parametrize(
    ("customer", "channel", "at_us", "reason"),
    [
        ("prf_00000001", "web", 899, ""),
        ("prf_00000001", "web", 900, "QUOTE_EXPIRED"),
        ("prf_00000002", "web", 5, "QUOTE_OTHER_CUSTOMER"),
        ("", "web", 5, "QUOTE_OTHER_CUSTOMER"),
        ("prf_00000001", "app", 5, "QUOTE_OTHER_CHANNEL"),
    ],
)
def test_a_quote_is_redeemed_by_its_customer_in_its_channel_before_its_end(customer, channel, at_us, reason):
    quote, _ = invented_quote(3, permit=DENIED)
    try:
        check_redeemable(quote, customer_id=customer, channel=channel, at_us=at_us)
        found = ""
    except RapportError as error:
        found = error.reason.name
    assert found == reason


def test_a_drop_is_passed_on_and_a_rise_is_refused():
    def basket(*published):
        return price_basket(
            [line(each, product_id=f"prd_{place:08d}") for place, each in enumerate(published)], PromotionBook([]),
            market="DE", at_us=5, tax=EUROPE,
        )  # fmt: skip

    quoted = basket(1000, 500)
    assert settle(quoted, basket(1000, 500)).settlement is Settlement.AS_QUOTED
    dropped = settle(quoted, basket(1000, 499))
    assert (dropped.settlement, dropped.basket.totals.gross) == (Settlement.DROPPED, 1499)
    for now in (basket(1000, 501), basket(1001, 400)):
        with pytest.raises(RapportError) as caught:
            settle(quoted, now)
        assert caught.value.reason.name == "PRICE_RISEN"
        assert caught.value.metadata["quoted"] == "1500"


@given(st.lists(st.tuples(st.sampled_from(["reserve", "commit", "release"]), st.integers(0, 60)), max_size=60))
def test_what_is_held_and_used_never_exceeds_a_cap(steps):
    caps = Caps(uses=6, uses_each=4, budget=150)
    tally, held, mine = Tally(), [], 0
    for number, (step, amount) in enumerate(steps):
        if step == "reserve":
            try:
                tally = reserve(tally, caps, amount, uses_of_customer=mine)
            except RapportError as error:
                refused = error.reason.name
                used = tally.reserved_amount + tally.committed_amount
                full = tally.reserved_uses + tally.committed_uses >= 6 or used + amount > 150
            else:
                refused, full = "", True
                held.append(Reservation("p", f"q{number}", amount, 100))
                mine += 1
            assert (refused == "CUSTOMER_CAP_REACHED") == (mine >= 4 and bool(refused))
            assert full or refused == "CUSTOMER_CAP_REACHED"
        elif held:
            each = held.pop(0)
            if step == "commit":
                tally = commit(tally, each, paid=each.amount // 2, at_us=99)
            else:
                tally, mine = release(tally, each), mine - 1
        assert tally.reserved_uses + tally.committed_uses <= 6
        assert tally.reserved_amount + tally.committed_amount <= 150
        assert (tally.reserved_uses, tally.reserved_amount) == (len(held), sum(each.amount for each in held))


def test_a_reservation_that_ran_out_or_would_cost_more_is_not_committed():
    each = Reservation("p", "q", 10, 100)
    tally = reserve(Tally(), Caps(uses=1), 10, uses_of_customer=0)
    assert commit(tally, each, paid=10, at_us=99).committed_amount == 10
    with pytest.raises(RapportError, match="RESERVATION_LAPSED"):
        commit(tally, each, paid=10, at_us=100)
    with pytest.raises(RapportError, match="BUDGET_EXHAUSTED"):
        commit(tally, each, paid=11, at_us=99)


@given(st.text(max_size=20), st.text(max_size=20), st.booleans())
def test_the_bytes_of_a_quote_are_compact_ascii_json_whatever_its_texts_say(one, other, twice):
    made = line(product_id=one, category=other, floor_rule=one)

    def quoted() -> bytes:
        basket = price_basket([made], PromotionBook([]), market="DE", at_us=5, tax=AMERICA)
        return canonical(Quote(one, other, "DE", "EUR", one, other, basket, (one, other), (other,), one, 1, 2))

    document = quoted()
    assert not twice or quoted() == document, "what was made of a line before is used again"
    read = json.loads(document)
    assert document == json.dumps(read, separators=(",", ":")).encode("ascii")
    assert read[1:8] == [one, other, "DE", "EUR", one, other, read[7]]
    assert (read[7][0][0], read[7][0][9], read[9:]) == (one, one, [[], 0, [one, other], [other], one, 1, 2])
