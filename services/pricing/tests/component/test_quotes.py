"""What a basket costs, why, and what consent has to do with it."""

from __future__ import annotations

import asyncio
import json
import random

from pricing_desk import Desk
from pricing_installation import PERSONAL, PricingInstallation
from pricing_words import asked, minor, name, only_for, product, promotion_terms, request_id
from rapport.pricing.v1 import authored_pb2, events_pb2, pricing_pb2, product_pb2, quote_pb2
from rapport_chassis.ids import new_id
from rapport_testing.prove import Scale
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

PUBLIC = authored_pb2.PROMOTION_AUDIENCE_PUBLIC
CODE = authored_pb2.PROMOTION_AUDIENCE_OPEN_CODE
LOYALTY = authored_pb2.PROMOTION_AUDIENCE_LOYALTY


def promised(quote: quote_pb2.Quote) -> list[object]:
    """What a quote says without its names and times."""
    fields = json.loads(quote.signed.document)
    return fields[3:-2]


async def test_a_basket_is_priced_line_by_line_with_tax_and_signed(desk: Desk) -> None:
    shoe, sock = await desk.sold(11900), await desk.sold(238)
    quote = await desk.quote((shoe, 1), (sock, 3), channel="web")
    assert [minor(line.gross) for line in quote.lines] == [11900, 714]
    assert [minor(line.tax) for line in quote.lines] == [1900, 114]
    assert (minor(quote.net), minor(quote.tax), minor(quote.gross), minor(quote.all_in)) == (10600, 2014, 12614, 12614)
    assert [line.price_version for line in quote.lines] == [1, 1]
    assert quote.lines[0].availability == events_pb2.AVAILABILITY_IN_STOCK
    assert quote.expires_at.seconds - quote.issued_at.seconds == 900
    assert (quote.channel, quote.personalised) == ("web", False)
    assert "eu.prior_price" in quote.law_rule_ids
    assert json.loads(quote.signed.document)[1:3] == [quote.quote_id, quote.decision_id]


async def test_promotions_apply_in_their_order_and_the_reduction_is_claimed_from_the_price_before(desk: Desk) -> None:
    shoe = await desk.sold(10000)
    scope = only_for(shoe)
    await desk.promote(name(), promotion_terms(percent_ppm=200_000, scope=scope, order=1))
    code = f"C{request_id()[:8]}"
    await desk.promote(name(), promotion_terms(percent_ppm=100_000, scope=scope, order=2, audience=CODE, code=code))
    quote = await desk.quote((shoe, 1))
    assert minor(quote.gross) == 8000
    both = await desk.quote((shoe, 1), codes=[code, "UNKNOWN"])
    assert minor(both.gross) == 7200
    assert [minor(part.amount) for part in both.lines[0].components] == [10000, -2000, -800]
    assert [part.kind for part in both.lines[0].components[1:]] == [quote_pb2.COMPONENT_KIND_PROMOTION] * 2
    assert [minor(use.amount) for use in both.uses] == [2000, 800]
    # The product was published within the hour that the promotions have lasted: there is no price before them.
    assert not both.lines[0].HasField("prior")


async def test_a_floor_keeps_a_promotion_from_selling_below_cost_and_is_named(desk: Desk) -> None:
    category = f"c{request_id()[:8]}"
    await desk.rule(
        f"r{category}",
        authored_pb2.PriceRule(
            rule_id="cost.floor",
            tier=product_pb2.RULE_TIER_COST,
            side=authored_pb2.RULE_SIDE_FLOOR,
            of=authored_pb2.RULE_QUANTITY_COST,
            numerator=1,
            strict=True,
        ),
        scope=authored_pb2.TermsScope(categories=[category]),
    )
    shoe = await desk.sold(1000, cost=700, category=category)
    await desk.promote(name(), promotion_terms(percent_ppm=500_000, scope=only_for(shoe)))
    quote = await desk.quote((shoe, 2))
    assert minor(quote.gross) == 2 * 833  # 7.00 with tax
    assert quote.lines[0].components[1].held_by_rule == "cost.floor"


async def test_a_loyalty_price_needs_a_permit_and_says_so(desk: Desk, consented: str) -> None:
    shoe = await desk.sold(10000)
    terms = promotion_terms(percent_ppm=100_000, scope=only_for(shoe), audience=LOYALTY, loyalty="gold")
    await desk.promote(name(), terms)
    personal = await desk.quote((shoe, 1), profile_id=consented, loyalty="gold")
    assert (minor(personal.gross), personal.personalised) == (9000, True)
    assert personal.lines[0].components[1].kind == quote_pb2.COMPONENT_KIND_PERSONAL
    assert [each.rule_id for each in personal.disclosures] == ["eu.personalised_disclosure"]
    assert not personal.lines[0].HasField("prior")
    assert (await desk.explain(personal)).personal == pricing_pb2.PERSONAL_OUTCOME_LOWERED
    for other, why in (
        ({"profile_id": consented}, pricing_pb2.PERSONAL_OUTCOME_NOTHING_OFFERED),
        ({"profile_id": consented, "loyalty": "silver"}, pricing_pb2.PERSONAL_OUTCOME_NOT_LOWER),
        ({"loyalty": "gold"}, pricing_pb2.PERSONAL_OUTCOME_NO_CUSTOMER),
        ({"profile_id": new_id("profile"), "loyalty": "gold"}, pricing_pb2.PERSONAL_OUTCOME_NOT_PERMITTED),
    ):
        quote = await desk.quote((shoe, 1), **other)
        assert (minor(quote.gross), quote.personalised, list(quote.disclosures)) == (10000, False, [])
        assert (await desk.explain(quote)).personal == why


async def test_without_consent_no_personal_field_changes_a_byte(desk: Desk, scale: Scale) -> None:
    draw = random.Random(7)
    shoes = [await desk.sold(draw.randint(500, 9000)) for _ in range(5)]
    scope = only_for(*shoes)
    for tier in ("silver", "gold"):
        terms = promotion_terms(percent_ppm=draw.randint(1, 300_000), scope=scope, audience=LOYALTY, loyalty=tier)
        await desk.promote(name(), terms)
    await desk.promote(name(), promotion_terms(percent_ppm=50_000, scope=scope))
    for _ in range(scale.pick(small=5, full=500)):
        requests = []
        for _ in range(100):
            who = new_id("profile")
            basket = [(each, draw.randint(1, 4)) for each in draw.sample(shoes, draw.randint(1, 5))]
            requests.append(asked(*basket, profile_id=who))
            requests.append(asked(*basket, profile_id=who, loyalty=draw.choice(("silver", "gold", "bronze"))))
        answers = (await desk.prices.BatchGetQuotes(pricing_pb2.BatchGetQuotesRequest(requests=requests))).results
        for plain, personal in zip(answers[::2], answers[1::2], strict=True):
            assert plain.status.code == personal.status.code == 0
            assert promised(plain.quote) == promised(personal.quote)


async def test_a_withdrawal_ends_personal_prices(desk: Desk, installation: PricingInstallation, consented: str) -> None:
    shoe = await desk.sold(10000)
    await desk.promote(name(), promotion_terms(scope=only_for(shoe), audience=LOYALTY, loyalty="gold"))
    assert (await desk.quote((shoe, 1), profile_id=consented, loyalty="gold")).personalised
    await asyncio.to_thread(installation.ledger.withdraw, consented, PERSONAL)

    async def ended() -> bool:
        return not (await desk.quote((shoe, 1), profile_id=consented, loyalty="gold")).personalised

    await eventually(ended, timeout_s=10)


async def test_a_quote_is_explained_and_replays_to_the_same_bytes_whatever_became_of_prices_and_rules(
    desk: Desk, consented: str
) -> None:
    shoe, sock = await desk.sold(10000), await desk.sold(500)
    promotion = await desk.promote(name(), promotion_terms(scope=only_for(shoe)))
    await desk.promote(name(), promotion_terms(scope=only_for(sock), audience=LOYALTY, loyalty="gold"))
    quotes = [
        await desk.quote((shoe, 2), (sock, 3), profile_id=consented, loyalty="gold"),
        await desk.quote((sock, 1)),
    ]
    await desk.publish(shoe, 4000)
    await desk.retire(promotion)
    shoe.category, shoe.listings[0].tax_ppm = "boots", 70_000
    await desk.put(shoe)
    for quote in quotes:
        told = await desk.explain(quote)
        assert told.quote == quote
        assert told.replayed
        for line in told.quote.lines:
            assert sum(minor(part.amount) for part in line.components) == minor(line.gross)
    assert [each.version for each in (await desk.explain(quotes[0])).list_prices] == [1, 1]
    with refused("DECISION_NOT_FOUND"):
        await desk.clerk.ExplainQuote(pricing_pb2.ExplainQuoteRequest(decision_id=new_id("decision")))


async def test_a_batch_answers_each_basket_by_itself(desk: Desk) -> None:
    shoe, unpriced = await desk.sold(1000), await desk.put(product())
    requests = [asked((shoe, 1)), asked((unpriced, 1)), asked((product(), 1)), asked((shoe, 1), market="FR")]
    answer = await desk.prices.BatchGetQuotes(pricing_pb2.BatchGetQuotesRequest(requests=requests))
    assert [each.status.code for each in answer.results] == [0, 5, 5, 9]
    assert minor(answer.results[0].quote.gross) == 1000
    with refused("LISTING_NOT_FOUND", "lines"):
        await desk.quote((product(), 1))
    with refused("BASKET_INVALID", "lines"):
        await desk.quote((shoe, 1), (shoe, 2))


async def test_a_human_looks_at_a_decision(desk: Desk) -> None:
    quote = await desk.quote((await desk.sold(1000), 1))
    ground = pricing_pb2.PRICE_REVIEW_GROUND_UNFAIR
    review = await desk.clerk.RequestReview(
        pricing_pb2.RequestReviewRequest(request_id=request_id(), decision_id=quote.decision_id, ground=ground)
    )
    assert review.state == pricing_pb2.PRICE_REVIEW_STATE_OPEN
    listed = await desk.clerk.ListReviews(pricing_pb2.ListReviewsRequest(page_size=500))
    assert review in listed.reviews
    decide = pricing_pb2.DecideReviewRequest(review_id=review.review_id, reason="too dear")
    decide.request_id = request_id()
    decided = await desk.clerk.DecideReview(decide)
    assert (decided.state, decided.reason) == (pricing_pb2.PRICE_REVIEW_STATE_SET_ASIDE, "too dear")
    decide.request_id = request_id()
    with refused("REVIEW_DECIDED"):
        await desk.clerk.DecideReview(decide)
    assert [each.review_id for each in (await desk.explain(quote)).reviews] == [review.review_id]
