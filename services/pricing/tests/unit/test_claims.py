"""Which reduction a quoted line may claim: from the lowest price before what everybody gets, and from nothing else."""

from datetime import date

from rapport_pricing.app.claims import Claim, claim
from rapport_pricing.app.shelf import Lot
from rapport_pricing.app.stored import Key, Listing, Product, ProductState
from rapport_pricing.domain.law import shipped_law
from rapport_pricing.domain.ledger import DAY_US, Cause, PriceHistory, PriceVersion
from rapport_pricing.domain.lines import Component, Line, Part, PricedLine
from rapport_pricing.domain.promotions import Benefit, Promotion
from rapport_pricing.domain.tax import Taxed

LAW = shipped_law().in_force("DE", "shoes", date(2026, 1, 1))
LISTING = Listing("", "DE", 600, "EUR", 0)
PUBLIC = Promotion("public", 1, Benefit.PERCENT, 200_000, since_us=40 * DAY_US, until_us=60 * DAY_US)


def version(number: int, gross: int, day: int, promotion_id: str = "") -> PriceVersion:
    return PriceVersion(number, gross, gross, "EUR", day * DAY_US, Cause.AUTHORED, promotion_id)


def claimed(*versions: PriceVersion, public: int = 0, personal: int = 0, quantity: int = 1) -> Claim | None:
    lot = Lot(
        Key("prd_00000001", "", "DE"),
        Product("prd_00000001", 1, "shoes", "", ProductState.ON_SALE, (LISTING,), 0),
        LISTING,
    )
    lot.history = PriceHistory(versions)
    published = versions[-1].gross
    parts = [Component(Part.PUBLISHED, "prd_00000001", 1, published * quantity)]
    if public:
        parts.append(Component(Part.PROMOTION, "public", 1, -public * quantity))
    if personal:
        parts.append(Component(Part.PERSONAL, "ofr_00000001", 1, -personal * quantity))
    gross = sum(part.amount for part in parts)
    line = PricedLine(
        Line("prd_00000001", "", "shoes", "", quantity, published, 1, 0), Taxed(gross, 0, gross), tuple(parts)
    )
    return claim(lot, LAW, line, {"public": PUBLIC}, 50 * DAY_US)


def test_the_price_before_is_the_lowest_of_the_thirty_days_before_the_promotion_began():
    # From day 10 to day 40: 700 ended on day 5 and 800 began on day 45.
    versions = version(1, 700, 1), version(2, 1000, 5), version(3, 900, 20), version(4, 800, 45)
    assert claimed(*versions, public=80) == Claim(900, 200_000)
    assert claimed(*versions, public=80, quantity=3) == Claim(900, 200_000)


def test_what_only_this_customer_gets_is_no_announced_reduction():
    versions = (version(1, 1000, 1),)
    assert claimed(*versions, personal=300) is None
    assert claimed(*versions, public=200, personal=300) == Claim(1000, 200_000)


def test_a_price_that_is_not_below_the_one_before_claims_nothing():
    assert claimed(version(1, 800, 1), version(2, 1000, 42), public=200) is None
    assert claimed(version(1, 1000, 45), public=200) is None


def test_a_published_promotional_price_claims_from_before_its_run_began():
    versions = version(1, 1000, 1), version(2, 900, 44, "autumn"), version(3, 750, 47, "autumn")
    assert claimed(*versions) == Claim(1000, 250_000)
