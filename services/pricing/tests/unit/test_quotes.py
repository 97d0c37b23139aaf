import json
import random
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pricing_inventions import AMERICA, EUROPE, LAW, invented_promotion, invented_quote, line, promotion
from rapport_chassis.errors import RapportError
from rapport_chassis.ids import new_id
from rapport_pricing.domain.baskets import price_basket
from rapport_pricing.domain.explaining import check_replay
from rapport_pricing.domain.lines import Part
from rapport_pricing.domain.personal import (
    DENIED,
    ListPriceAudit,
    Permit,
    PersonalOutcome,
    audit_list_price,
    entitlements,
    outcome_of,
)
from rapport_pricing.domain.promotions import Audience, Benefit, Entitlements, PromotionBook
from rapport_pricing.domain.quotes import (
    Quote,
    Settlement,
    canonical,
    check_redeemable,
    is_personal,
    personal_id,
    settle,
)

TENTH = promotion("tenth", Benefit.PERCENT, 100_000)


def test_explanations_sum_to_the_price_and_personal_prices_only_lower(scale, prove):
    quotes = scale.pick(small=1000, full=100_000)
    personal = 0
    for seed in range(quotes):
        quote, published = invented_quote(seed, permit=Permit(True, "con_1", 4))
        assert sum(each.amount.gross for each in quote.basket.lines) == quote.basket.totals.gross
        for each in quote.basket.lines:
            assert sum(part.amount for part in each.components) == each.amount.gross
            before_tax = sum(part.amount for part in each.components if part.part is not Part.TAX)
            assert each.line.floor * each.line.quantity <= before_tax <= each.line.published * each.line.quantity
        without, same = invented_quote(seed, permit=DENIED)
        assert same == published
        if quote.basket.personalised:
            assert quote.basket.totals.gross < without.basket.totals.gross
        else:
            assert quote.basket == without.basket
        assert bool(quote.disclosures) == quote.basket.personalised
        personal += quote.basket.personalised
    assert 0 < personal < quotes
    prove("pricing-explanations", quotes=quotes, personal=personal, wrong=0)


def test_without_a_permit_no_personal_field_changes_a_byte(scale, prove):
    quotes = scale.pick(small=400, full=100_000)
    law = LAW.in_force("DE", "books", date(2026, 11, 22))
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


def test_a_law_that_forbids_personal_prices_is_as_good_as_no_permit():
    law = LAW.in_force("US-MD", "food", date(2026, 11, 22))
    offers = [replace(TENTH, audience=Audience.INDIVIDUAL)]
    found = entitlements(Permit(True), law, codes=["X"], loyalty="gold", offers=offers, inputs=[])
    assert found == Entitlements(frozenset({"X"}))


def test_why_personal_data_did_not_lower_a_price_is_the_first_reason_that_was_met():
    given: dict[str, Any] = {
        "customer_id": "prf_1",
        "permitted": True,
        "lawful": True,
        "offered": True,
        "personalised": True,
    }
    assert outcome_of(**given) is PersonalOutcome.LOWERED
    for missing, why in (
        ({"personalised": False}, PersonalOutcome.NOT_LOWER),
        ({"offered": False}, PersonalOutcome.NOTHING_OFFERED),
        ({"lawful": False}, PersonalOutcome.NOT_LAWFUL),
        ({"permitted": False}, PersonalOutcome.NOT_PERMITTED),
        ({"customer_id": ""}, PersonalOutcome.NO_CUSTOMER),
    ):
        given |= missing
        assert outcome_of(**given) is why


def test_the_list_price_may_not_be_raised_to_pay_for_personal_ones():
    def audited(believed: int, forgone_ppm: int) -> ListPriceAudit:
        return audit_list_price(believed, 1000, personal_visits=20, forgone_ppm=forgone_ppm)

    assert audited(1025, 50_000).passed
    assert not audited(1026, 50_000).passed
    assert audited(1300, 10_000).passed  # so little that nobody can tell the two apart
    assert audited(900, 50_000) == ListPriceAudit(900, 1000, 20, -100_000, 50_000, True)


def test_the_id_of_a_personal_quote_says_so_and_is_as_random():
    drawn = [new_id("quote") for _ in range(100)]
    named = [personal_id(each) for each in drawn]
    assert not any(map(is_personal, drawn))
    assert all(map(is_personal, named))
    assert [each[-22:] for each in named] == [each[-22:] for each in drawn]
    assert all(re.fullmatch("quo_[0-9A-Za-z]{8,40}", each) for each in named), "as contracts have it"


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
