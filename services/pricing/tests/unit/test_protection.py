"""Who is protected never pays to be learned from: not more than what is believed to earn most."""

import pytest
from rapport_pricing.app.documents import read_document
from rapport_pricing.app.limits import DatedLaws
from rapport_pricing.app.pricing import AskedLine, Brought, Naming, price
from rapport_pricing.app.redeeming import basket_of, settled
from rapport_pricing.app.rules import Decided, Kind, Market
from rapport_pricing.app.shelf import News, Shelf
from rapport_pricing.app.stored import Key, Listing, Product, ProductState
from rapport_pricing.domain.law import shipped_law
from rapport_pricing.domain.ledger import Cause, PriceVersion
from rapport_pricing.domain.personal import DENIED, Permit
from rapport_pricing.domain.quotes import Settlement, canonical
from rapport_pricing.domain.tax import TaxPolicy

KEY = Key("prd_12345678", "", "DE")
NOW_US = 1_800_000_000_000_000
GRANTED = Permit(True, "rcp_1", 7)


def shelf(price: int, settled: int | None) -> Shelf:
    made = Shelf(DatedLaws(shipped_law()))
    product = Product(KEY.product_id, 1, "shoes", "", ProductState.ON_SALE, (Listing("", "DE", 500, "EUR", 0),), 1)
    market = Market("DE", 1, "EUR", TaxPolicy(), 900_000_000)
    version = PriceVersion(1, price, price, "EUR", NOW_US - 9, Cause.LEARNED, settled=settled)
    made.follow(News(1, [product], [(KEY, version)], (), [Decided(1, Kind.MARKET, "DE", 0, market)]))
    return made


@pytest.mark.parametrize(
    ("permit", "loyalty", "settled_at", "paid"),
    [
        (GRANTED, "gold", 950, 950),
        (GRANTED, "", 950, 1000),
        (DENIED, "gold", 950, 1000),
        (GRANTED, "gold", None, 1000),
    ],
)
def test_a_customer_of_a_tier_pays_the_settled_price_where_more_is_tried(permit, loyalty, settled_at, paid):
    stage = shelf(1000, settled_at)
    brought = Brought("prf_1", permit, frozenset(), loyalty)
    naming = Naming("quo_1", "dec_1", "", NOW_US)
    priced = price(stage, "DE", [AskedLine(KEY.product_id, "", 2)], brought, naming)
    assert priced.quote.basket.totals.gross == 2 * paid
    assert priced.quote.basket.personalised == (paid < 1000)
    document = read_document(canonical(priced.quote))
    basket = basket_of(document, stage, {})
    assert settled(document, basket, stage, NOW_US + 1).settlement is Settlement.AS_QUOTED
