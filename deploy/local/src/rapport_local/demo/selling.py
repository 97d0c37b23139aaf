"""The scenes about prices: published within rules, quoted with reasons, lowered for one customer where allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from google.type import money_pb2
from rapport.churn.v1 import churn_pb2
from rapport.consent.v1 import consent_pb2
from rapport.pricing.v1 import authored_pb2, catalog_pb2, events_pb2, pricing_pb2, product_pb2, quote_pb2
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.times import stamp

from rapport_local.demo.arriving import Known
from rapport_local.demo.asking import grant, request_id, until
from rapport_local.demo.lives import CURRENCY, MARKET
from rapport_local.demo.report import Report
from rapport_local.demo.scenes import PERSONAL_PRICES
from rapport_local.demo.shop import Cast
from rapport_local.demo.trees import short

WINBACK: Final = "winback"
_COST: Final = 52_00
_PRICE: Final = 89_00
_TAX_PPM: Final = 200_000
_OFF_PPM: Final = 150_000
_MADE_S: Final = 90.0
_LOOK_EVERY_S: Final = 0.1


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


async def offers(
    report: Report, cast: Cast, product_id: str, known: Known, at_risk: Sequence[churn_pb2.RankedProfile]
) -> dict[str, events_pb2.Offer]:
    """Who may leave has an offer, but for who did not allow it and the random few; return those that were made."""
    people = {each.profile_id: customer for each in at_risk if (customer := known.by_profile().get(each.profile_id))}
    allowed = {who for who, customer in people.items() if customer.allows(PERSONAL_PRICES)}
    made = await until(
        lambda: _made(cast, people), lambda found: set(found) >= allowed, within_s=_MADE_S, every_s=_LOOK_EVERY_S
    )
    treated = {who: offer for who, offer in made.items() if offer.treatment == events_pb2.TREATMENT_TREATED}
    report.say(f"Of {len(people)} customers at risk:")
    report.rows(
        [
            ("have an offer", str(len(treated)), f"{WINBACK}, for thirty days"),
            ("are held out by chance", str(len(made) - len(treated)), "so that its effect can be measured"),
            ("did not allow it", str(len(people) - len(made)), f"{PERSONAL_PRICES}: no, or never asked"),
        ],
        heading=False,
    )
    report.expect(set(made) == allowed, "nobody has a personal price who did not say yes to it")
    await _prices(report, cast, product_id, treated)
    report.figure(
        "offers made", f"{len(treated)}", f"{len(made) - len(treated)} held out, {len(people) - len(made)} not allowed"
    )
    return treated


async def _prices(report: Report, cast: Cast, product_id: str, treated: Mapping[str, events_pb2.Offer]) -> None:
    stranger = await _quote(cast, product_id)
    quotes = {who: await _quote(cast, product_id, who) for who in list(treated)[:3]}
    who, quote = next(iter(quotes.items()))
    report.say(f"What the shoes cost {short(who)}, and why; nobody in particular pays {_amount(stranger.all_in)}.")
    report.rows(
        [
            ("component", "amount", "because of"),
            *(
                (_kind(each), _amount(each.amount), _cause(each, treated[who]))
                for line in quote.lines
                for each in line.components
            ),
            ("price", _amount(quote.all_in), f"of which {_amount(quote.tax)} tax"),
        ]
    )
    report.expect(
        all(_minor(each.all_in) < _minor(stranger.all_in) for each in quotes.values()), "personal prices only lower"
    )
    report.expect(
        all(_sum(line) == _minor(line.gross) for each in quotes.values() for line in each.lines),
        "the components of each price sum to it, to the penny",
    )
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
        lambda: _quote(cast, product_id, who),
        lambda now: _minor(now.all_in) == _minor(stranger.all_in),
        every_s=_LOOK_EVERY_S,
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


async def _made(cast: Cast, people: Iterable[str]) -> dict[str, events_pb2.Offer]:
    """Return the offers of these people that can be used, or that they are held out of."""
    found: dict[str, events_pb2.Offer] = {}
    for who in people:
        listed = await cast.prices.ListOffers(pricing_pb2.ListOffersRequest(profile_id=who, include_all=True))
        if listed.offers and listed.offers[0].offer.state == events_pb2.OFFER_STATE_OPEN:
            found[who] = listed.offers[0].offer
    return found


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


def _kind(component: quote_pb2.PriceComponent) -> str:
    return quote_pb2.ComponentKind.Name(component.kind).removeprefix("COMPONENT_KIND_").lower()


def _cause(component: quote_pb2.PriceComponent, offer: events_pb2.Offer) -> str:
    """Say what a component rests on, and which guardrail kept an offer from taking off more."""
    if component.kind != quote_pb2.COMPONENT_KIND_PERSONAL:
        return "the price for everybody"
    held = f", held by {component.held_by_rule}" if component.held_by_rule else ""
    return f"{WINBACK}, {offer.basis_points / 100:g} % off{held}"


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
