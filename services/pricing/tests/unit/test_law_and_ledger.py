import json
from datetime import date
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis.errors import RapportError
from rapport_pricing.domain.guardrails import Lattice, Quantity
from rapport_pricing.domain.law import read_law, shipped_law
from rapport_pricing.domain.ledger import DAY_US, Cause, PriceHistory, PriceVersion, PriorPrice, reduction_ppm

TODAY = date(2026, 11, 22)


def history(*prices: tuple[int, int] | tuple[int, int, str]) -> PriceHistory:
    """Return a history of (day, gross) or (day, gross, promotion)."""
    made = PriceHistory()
    for number, (day, gross, *promotion) in enumerate(prices, 1):
        cause = Cause.PROMOTION if promotion else Cause.LEARNED
        made = made.append(PriceVersion(number, gross, gross, "EUR", day * DAY_US, cause, "".join(promotion)))
    return made


def test_a_new_york_price_carries_the_exact_words_from_the_day_the_law_holds():
    law = shipped_law().in_force("US-NY", "books", TODAY)
    assert [each.text for each in law.disclosures] == ["THIS PRICE WAS SET BY AN ALGORITHM USING YOUR PERSONAL DATA"]
    assert shipped_law().in_force("US-NY", "books", date(2025, 11, 9)).disclosures == ()
    assert shipped_law().in_force("US-NY", "books", date(2025, 11, 10)).disclosures != ()
    assert shipped_law().in_force("US-NY", "insurance", TODAY).disclosures == ()


def test_maryland_switches_personal_food_prices_off_from_its_day_on():
    book = shipped_law()
    assert not book.in_force("US-MD", "food", date(2026, 10, 1)).personal_allowed
    assert book.in_force("US-MD", "food", date(2026, 9, 30)).personal_allowed
    assert book.in_force("US-MD", "books", TODAY).personal_allowed
    assert book.in_force("US-VA", "food", TODAY).personal_allowed


def test_the_prior_price_of_thirty_days_is_law_in_each_country_of_the_union():
    book = shipped_law()
    assert [book.in_force(market, "books", TODAY).prior_price_days for market in ("DE", "FR", "PL")] == [30] * 3
    assert [book.in_force(market, "books", TODAY).prior_price_days for market in ("US-NY", "GB", "CH")] == [0] * 3
    assert book.in_force("DE", "books", TODAY).prior_price_for == {"public", "open_code"}


def lowest(published: PriceHistory, day: int) -> int:
    """Return the prior price of a reduction on a day, which there must be."""
    prior = published.prior_price(day * DAY_US)
    assert prior is not None
    return prior.gross


@pytest.mark.parametrize(
    ("market", "quantity", "cap"),
    [
        ("US-CA", Quantity.BEFORE_EMERGENCY, 1100),
        ("US-OR", Quantity.BEFORE_EMERGENCY, 1150),
        ("US-AL", Quantity.AVERAGE_30_DAYS, 1250),
        ("US-TX", Quantity.BEFORE_EMERGENCY, 1100),
    ],
)
def test_an_emergency_caps_at_the_state_s_own_figure_and_else_at_the_strictest_usual_one(market, quantity, cap):
    rules = shipped_law().in_force(market, "fuel", TODAY).emergency
    assert len(rules) == 1
    lattice = Lattice(rules)
    assert [lattice.guard(wished, {quantity: 1000}).price for wished in (cap - 1, cap, cap + 1)] == [cap - 1, cap, cap]


def test_an_insurance_renewal_in_britain_is_never_above_the_price_of_a_new_customer():
    rules = shipped_law().in_force("GB", "insurance", TODAY).standing
    assert Lattice(rules).guard(1200, {Quantity.NEW_CUSTOMER: 1000}).price == 1000
    assert shipped_law().in_force("GB", "books", TODAY).standing == ()


def test_a_banned_input_is_refused_by_name():
    law = shipped_law().in_force("DE", "books", TODAY)
    law.admit(["recency_days", "loyalty_tier"])
    with pytest.raises(RapportError) as caught:
        law.admit(["recency_days", "sex"])
    assert (caught.value.reason.name, caught.value.message) == ("INPUT_BANNED", "banned by law: sex")


def test_changing_a_rule_needs_no_code():
    text = resources.files("rapport_pricing.domain").joinpath("data", "law.json").read_text("utf-8")
    document = json.loads(text)
    for rule in document["rules"]:
        if rule["id"] == "us-ca.emergency":
            rule["until"] = "2027-01-01"
        if rule["id"] == "eu.prior_price":
            rule["days"] = 60
    document["rules"].append(
        {
            "id": "us-ca.emergency_2027", "jurisdiction": "US-CA", "kind": "emergency_cap", "from": "2027-01-01",
            "reference": "before_emergency", "ppm": 50_000, "source": "invented",
        }
    )  # fmt: skip
    book = read_law(json.dumps(document))
    before, after = (book.in_force("US-CA", "fuel", day).emergency[0] for day in (TODAY, date(2027, 1, 1)))
    assert (before.numerator, after.numerator) == (1_100_000, 1_050_000)
    assert book.in_force("DE", "books", TODAY).prior_price_days == 60


@pytest.mark.parametrize(
    "broken",
    [{"kind": "unheard_of"}, {"from": "soon"}, {"reference": "nothing_known"}, {"ppm": None, "kind": "prior_price"}],
)
def test_a_rule_that_lacks_what_its_kind_needs_is_refused_by_its_id(broken):
    rule = {
        "id": "x.rule", "jurisdiction": "EU", "kind": "emergency_cap", "from": "2020-01-01",
        "reference": "before_emergency", "ppm": 1, "source": "invented",
    } | broken  # fmt: skip
    with pytest.raises(RapportError, match=r"x\.rule") as caught:
        read_law(json.dumps({"members": {}, "rules": [rule]}))
    assert caught.value.reason.name == "LAW_INVALID"


def test_the_prior_price_is_the_lowest_of_the_thirty_days_before_and_never_the_reduced_one():
    published = history((0, 1000), (40, 900), (45, 1100), (60, 700, "sale"), (62, 600, "sale"))
    began = published.reduction_began(63 * DAY_US)
    assert began == 60 * DAY_US
    assert published.prior_price(began) == PriorPrice(900, 2, 30 * DAY_US, 60 * DAY_US, complete=True)


def test_the_price_in_force_when_the_window_opens_counts_and_an_older_one_does_not():
    assert lowest(history((0, 500), (30, 1000), (60, 800, "s")), 60) == 1000
    assert lowest(history((0, 500), (31, 1000), (60, 800, "s")), 60) == 500


def test_an_earlier_sale_counts_against_a_later_one():
    published = history((0, 1000), (40, 700, "spring"), (50, 1000), (60, 800, "summer"))
    assert published.reduction_began(60 * DAY_US) == 60 * DAY_US
    assert lowest(published, 60) == 700
    assert reduction_ppm(800, published.prior_price(60 * DAY_US)) is None


def test_a_product_younger_than_the_window_says_so_and_a_new_one_has_no_prior_price():
    young = history((50, 1000), (60, 800, "s"))
    prior = young.prior_price(60 * DAY_US)
    assert prior is not None
    assert not prior.complete
    assert history((60, 800, "s")).prior_price(60 * DAY_US) is None
    assert PriceHistory().at(5) is None
    assert young.reduction_began(55 * DAY_US) is None


@pytest.mark.parametrize(("gross", "ppm"), [(999, 1_000), (1000, None), (1001, None), (667, 333_000), (1, 999_000)])
def test_a_reduction_is_derived_from_the_prior_price_and_only_claimed_below_it(gross, ppm):
    assert reduction_ppm(gross, PriorPrice(1000, 1, 0, 1, complete=True)) == ppm
    assert reduction_ppm(gross, None) is None


def test_one_version_is_in_force_at_a_time_from_its_first_microsecond():
    published = history((1, 1000), (2, 900))
    found = [published.at(at) for at in (DAY_US - 1, DAY_US, 2 * DAY_US - 1, 2 * DAY_US)]
    assert [each and each.version for each in found] == [None, 1, 1, 2]


def test_two_who_publish_the_same_version_conflict_and_a_gap_is_refused():
    published = history((1, 1000))
    for number, since, reason in ((1, 2, "PRICE_VERSION_CONFLICT"), (3, 2, "PRICE_INVALID"), (2, 1, "PRICE_INVALID")):
        with pytest.raises(RapportError) as caught:
            published.append(PriceVersion(number, 9, 9, "EUR", since * DAY_US, Cause.LEARNED))
        assert caught.value.reason.name == reason
    with pytest.raises(RapportError):
        published.append(PriceVersion(2, 9, 9, "USD", 9 * DAY_US, Cause.LEARNED))
    with pytest.raises(RapportError):
        published.append(PriceVersion(2, 10, 9, "EUR", 9 * DAY_US, Cause.LEARNED))


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 50)), min_size=1, max_size=15), st.integers(1, 200), st.data()
)
def test_windows_agree_with_looking_at_every_day(steps, day, data):
    day_of, days = 0, []
    for gap, gross in steps:
        day_of += gap
        days.append((day_of, gross))
    published = history(*days)
    length = data.draw(st.integers(1, 40))

    def at(when):
        found = [gross for since, gross in days if since <= when]
        return found[-1] if found else None

    before = [at(when) for when in range(day - length, day) if at(when) is not None]
    prior = published.prior_price(day * DAY_US, length)
    assert (prior.gross if prior else None) == min(before, default=None)
    through = [at(when) for when in range(day - length, day + 1) if at(when) is not None]
    assert published.highest(day * DAY_US, length) == max(through, default=None)
    average = published.average(day * DAY_US, length)
    assert average == (sum(before) // len(before) if before else at(day))
