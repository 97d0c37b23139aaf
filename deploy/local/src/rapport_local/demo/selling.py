"""The scenes about prices: published within rules, quoted with reasons, lowered for one customer where allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from google.type import money_pb2
from rapport.churn.v1 import churn_pb2
from rapport.consent.v1 import consent_pb2
from rapport.pricing.v1 import authored_pb2, catalog_pb2, events_pb2, pricing_pb2, product_pb2, quote_pb2
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.times import stamp

from rapport_local.demo.report import Report
from rapport_local.demo.scenes import PERSONAL_PRICES
from rapport_local.demo.shop import Cast, grant, request_id, until
from rapport_local.demo.trees import short

MARKET: Final = "GB"
CURRENCY: Final = "GBP"
WINBACK: Final = "winback"
_COST: Final = 52_00
_PRICE: Final = 89_00
_TAX_PPM: Final = 200_000
_OFF_PPM: Final = 150_000
_ASKED_ABOUT: Final = 12
_MADE_S: Final = 90.0


async def published(report: Report, cast: Cast) -> str:
    """A buyer declares market, product, rules and an offer to win people back; prices stay within the rules."""
    product_id = new_id("product")
    await _activated(
        cast,
        await cast.buyer.SetMarket(
            catalog_pb2.SetMarketRequest(
                request_id=request_id(), market=MARKET, terms=authored_pb2.MarketTerms(currency=CURRENCY)
            )
        ),
    )
    listing = product_pb2.Listing(market=MARKET, unit_cost=_money(_COST), tax_ppm=_TAX_PPM)
    await cast.buyer.UpsertProduct(
        catalog_pb2.UpsertProductRequest(
            request_id=request_id(),
            product=product_pb2.Product(product_id=product_id, category="shoes", listings=[listing]),
        )
    )
    await _activated(cast, await cast.buyer.SetPricePolicy(_policy()))
    await _activated(cast, await cast.buyer.SetPromotion(_winback()))
    low = await _publish(cast, product_id, 60_00)
    price = await _publish(cast, product_id, _PRICE)
    report.rows(
        [
            ("wished", "published", "bound by"),
            (_words(60_00), _amount(low.gross), low.binding_rule or "-"),
            (_words(_PRICE), _amount(price.gross), price.binding_rule or "-"),
        ]
    )
    report.expect(_minor(low.gross) > 60_00, "a price below the margin is lifted to it, and the rule is named")
    return product_id


async def offers(report: Report, cast: Cast, product_id: str) -> None:
    """Who may leave has an offer, but for the random few who are held out; it only ever lowers a price."""
    ranked = await cast.churn.RankProfiles(
        churn_pb2.RankProfilesRequest(page_size=_ASKED_ABOUT, at_risk_only=True, order=churn_pb2.RANK_ORDER_CHURN)
    )
    people = [each.profile_id for each in ranked.profiles]
    made = await until(lambda: _made(cast, people), lambda found: bool(found), within_s=_MADE_S)
    treated = {who: offer for who, offer in made.items() if offer.treatment == events_pb2.TREATMENT_TREATED}
    report.say(f"Of the {len(people)} customers at risk {len(treated)} were made an offer; chance holds some out.")
    stranger = await _quote(cast, product_id)
    rows = [("customer", "price", "because of")]
    rows.append(("nobody in particular", _amount(stranger.all_in), "the published price"))
    quotes = {who: await _quote(cast, product_id, who) for who in list(treated)[:3]}
    rows += [
        (
            short(who),
            _amount(quote.all_in),
            f"{WINBACK}, {treated[who].basis_points / 100:g} % off{_held(quote)}",
        )
        for who, quote in quotes.items()
    ]
    report.rows(rows)
    report.expect(
        all(_minor(quote.all_in) < _minor(stranger.all_in) for quote in quotes.values()),
        "personal prices only lower",
    )
    report.expect(
        all(_sum(line) == _minor(line.gross) for quote in quotes.values() for line in quote.lines),
        "the components of each price sum to it, to the penny",
    )
    who, quote = next(iter(quotes.items()))
    why = await cast.prices.ExplainQuote(pricing_pb2.ExplainQuoteRequest(decision_id=quote.decision_id))
    report.expect(why.replayed, "asked why, the decision is made again from the ledger: the same bytes")
    forged = quote_pb2.SignedQuote()
    forged.CopyFrom(quote.signed)
    forged.signature = bytes(64)
    report.expect(await _redeemed(cast, quote, forged) == "QUOTE_TAMPERED", "a forged quote is refused")
    report.expect(await _redeemed(cast, quote, quote.signed) == "", "the quote is used in an order")
    report.expect(await _redeemed(cast, quote, quote.signed) != "", "and not a second time")
    await cast.shop.RecordConsent(grant(who, PERSONAL_PRICES, choice=consent_pb2.CONSENT_CHOICE_REFUSE))
    plain = await until(
        lambda: _quote(cast, product_id, who), lambda now: _minor(now.all_in) == _minor(stranger.all_in)
    )
    report.expect(not plain.personalised, "who refuses personal prices pays what everybody pays")


def _policy() -> catalog_pb2.SetPricePolicyRequest:
    """At least a margin of 35 % over what one costs."""
    floor = authored_pb2.PriceRule(
        rule_id="cost.margin",
        tier=product_pb2.RULE_TIER_COST,
        side=authored_pb2.RULE_SIDE_FLOOR,
        of=authored_pb2.RULE_QUANTITY_COST,
        numerator=135,
        denominator=100,
        strict=True,
    )
    return catalog_pb2.SetPricePolicyRequest(
        request_id=request_id(), policy_id="shoes", terms=authored_pb2.PricePolicyTerms(rules=[floor])
    )


def _winback() -> catalog_pb2.SetPromotionRequest:
    now = datetime.now(UTC)
    terms = authored_pb2.PromotionTerms(
        percent_ppm=_OFF_PPM,
        audience=authored_pb2.PROMOTION_AUDIENCE_INDIVIDUAL,
        scope=authored_pb2.TermsScope(markets=[MARKET]),
        valid_from=stamp(now - timedelta(minutes=1)),
        valid_until=stamp(now + timedelta(days=30)),
    )
    return catalog_pb2.SetPromotionRequest(request_id=request_id(), promotion_id=WINBACK, terms=terms)


async def _activated(cast: Cast, version: authored_pb2.AuthoredVersion) -> None:
    await cast.buyer.ActivateVersion(
        catalog_pb2.ActivateVersionRequest(
            request_id=request_id(), kind=version.kind, name=version.name, version=version.version, reason="launch"
        )
    )


async def _publish(cast: Cast, product_id: str, price: int) -> product_pb2.PublishedPrice:
    return await cast.buyer.PublishPrice(
        catalog_pb2.PublishPriceRequest(
            request_id=request_id(), product_id=product_id, market=MARKET, price=_money(price)
        )
    )


async def _made(cast: Cast, people: list[str]) -> dict[str, events_pb2.Offer]:
    """Return the open offers of these people; nothing before one of them was treated."""
    found: dict[str, events_pb2.Offer] = {}
    for who in people:
        listed = await cast.prices.ListOffers(pricing_pb2.ListOffersRequest(profile_id=who, include_all=True))
        if listed.offers:
            found[who] = listed.offers[0].offer
    treated = [each for each in found.values() if each.treatment == events_pb2.TREATMENT_TREATED]
    return found if treated and len(found) >= len(people) // 2 else {}


async def _quote(cast: Cast, product_id: str, profile_id: str = "") -> quote_pb2.Quote:
    request = pricing_pb2.GetQuoteRequest(market=MARKET, profile_id=profile_id)
    request.lines.add(product_id=product_id, quantity=1)
    return await cast.till.GetQuote(request)


async def _redeemed(cast: Cast, quote: quote_pb2.Quote, signed: quote_pb2.SignedQuote) -> str:
    """Use a quote in an order; return why it was refused, empty if it was not."""
    try:
        await cast.till.RedeemQuote(
            pricing_pb2.RedeemQuoteRequest(
                request_id=request_id(), order_id=new_id("order"), profile_id=quote.profile_id, quote=signed
            )
        )
    except RemoteError as error:
        return error.reason.name
    return ""


def _held(quote: quote_pb2.Quote) -> str:
    """Say which guardrail kept an offer from taking off more."""
    rules = {each.held_by_rule for line in quote.lines for each in line.components if each.held_by_rule}
    return f", held by {', '.join(sorted(rules))}" if rules else ""


def _sum(line: quote_pb2.QuotedLine) -> int:
    return sum(_minor(each.amount) for each in line.components)


def _money(minor: int) -> money_pb2.Money:
    return money_pb2.Money(currency_code=CURRENCY, units=minor // 100, nanos=minor % 100 * 10_000_000)


def _minor(amount: money_pb2.Money) -> int:
    return amount.units * 100 + amount.nanos // 10_000_000


def _amount(amount: money_pb2.Money) -> str:
    return _words(_minor(amount))


def _words(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02} {CURRENCY}"
