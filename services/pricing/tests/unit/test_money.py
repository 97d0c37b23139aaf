from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis.errors import RapportError
from rapport_pricing.domain.endings import Ending
from rapport_pricing.domain.money import (
    EXPONENTS,
    MAX_AMOUNT,
    Money,
    Rounding,
    allocate,
    divide,
    of_units,
    share,
    to_units,
)
from rapport_pricing.domain.tax import Taxed, TaxPoint, TaxPolicy, tax_lines, taxed, totals

AMOUNTS = st.integers(-(10**12), 10**12)
DECIMAL = {
    Rounding.DOWN: ROUND_FLOOR,
    Rounding.UP: ROUND_CEILING,
    Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.HALF_EVEN: ROUND_HALF_EVEN,
}


def reason(call) -> str:
    with pytest.raises(RapportError) as caught:
        call()
    return caught.value.reason.name


@given(AMOUNTS, st.sampled_from(sorted(EXPONENTS)))
def test_an_amount_survives_the_way_out_and_back(minor, currency):
    units, nanos = to_units(Money(minor, currency))
    assert of_units(currency, units, nanos) == Money(minor, currency)


@pytest.mark.parametrize(
    ("currency", "units", "nanos"),
    [
        ("EUR", 1, -10_000_000),
        ("EUR", -1, 10_000_000),
        ("EUR", 0, 1_000_000_000),
        ("EUR", 0, -1_000_000_000),
        ("EUR", 1, 5_000_000),
        ("JPY", 1, 10_000_000),
        ("KWD", 1, 100_000),
        ("XXX", 1, 0),
        ("eur", 1, 0),
        ("EUR", MAX_AMOUNT, 0),
    ],
)
def test_what_is_no_amount_of_its_currency_is_refused(currency, units, nanos):
    assert reason(lambda: of_units(currency, units, nanos)) == "MONEY_INVALID"


def test_the_exponent_of_each_currency_is_its_own():
    assert [EXPONENTS[each] for each in ("EUR", "USD", "JPY", "KWD", "CLP", "TND", "ISK")] == [2, 2, 0, 3, 0, 3, 0]
    assert of_units("KWD", 1, 5_000_000) == Money(1005, "KWD")
    assert of_units("EUR", 0, -50_000_000) == Money(-5, "EUR")


def test_currencies_do_not_mix():
    assert Money(5, "EUR") + Money(7, "EUR") - Money(2, "EUR") == Money(10, "EUR")
    assert reason(lambda: Money(5, "EUR") + Money(7, "USD")) == "CURRENCY_MISMATCH"


@given(AMOUNTS, st.integers(1, 10**7), st.sampled_from(Rounding))
def test_rounding_is_that_of_decimal(numerator, denominator, rounding):
    with_decimal = (Decimal(numerator) / Decimal(denominator)) if numerator % denominator else None
    expected = (
        numerator // denominator
        if with_decimal is None
        else int(with_decimal.quantize(Decimal(1), rounding=DECIMAL[rounding]))
    )
    assert divide(numerator, denominator, rounding) == expected


def test_a_half_cent_is_rounded_as_decimal_does_and_no_float_would():
    assert share(2675, 100_000, Rounding.HALF_UP) == 268
    assert share(265, 100_000, Rounding.HALF_EVEN) == 26
    assert [divide(-5, 2, each) for each in (Rounding.HALF_UP, Rounding.HALF_EVEN)] == [-3, -2]


@given(AMOUNTS, st.lists(st.integers(0, 10**6), min_size=1, max_size=8).filter(any))
def test_parts_sum_to_the_whole_and_stay_within_one_of_their_share(total, weights):
    parts = allocate(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - total * weight) < sum(weights)


RATES = st.sampled_from([0, 70_000, 190_000, 88_750, 250_000])


@given(
    st.lists(st.tuples(st.integers(0, 10**7), RATES), min_size=1, max_size=10),
    st.booleans(),
    st.sampled_from(TaxPoint),
    st.sampled_from(Rounding),
)
def test_net_and_tax_are_the_gross_on_every_line_and_in_total(lines, included, point, rounding):
    policy = TaxPolicy(included, point, rounding)
    found = tax_lines(lines, policy)
    assert all(each.net + each.tax == each.gross for each in found)
    assert [each.gross if included else each.net for each in found] == [amount for amount, _ in lines]
    whole = totals(found, [Taxed(100, 19, 119)])
    assert whole.net + whole.tax == whole.gross == whole.all_in - 119
    if point is TaxPoint.TOTAL:
        for rate in {rate for _, rate in lines}:
            total = sum(amount for amount, its in lines if its == rate)
            tax = sum(each.tax for each, (_, its) in zip(found, lines, strict=True) if its == rate)
            assert tax == taxed(total, rate, policy).tax


def test_tax_by_line_and_on_the_total_differ_so_the_policy_decides():
    lines = [(99, 190_000)] * 3
    assert sum(each.tax for each in tax_lines(lines, TaxPolicy(point=TaxPoint.LINE))) == 48
    assert sum(each.tax for each in tax_lines(lines, TaxPolicy(point=TaxPoint.TOTAL))) == 47


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000))
def test_an_ending_is_the_nearest_in_range_or_none(price, one, other):
    low, high = min(one, other), max(one, other)
    ending = Ending(100, (0, 49, 99))
    allowed = [each for each in range(low, high + 1) if each % 100 in (0, 49, 99)]
    inside = min(max(price, low), high)
    found = ending.nearest(inside, low, high)
    assert found == min(allowed, key=lambda each: (abs(each - inside), each), default=inside)


@pytest.mark.parametrize("digits", [(), (99, 49), (49, 49), (100,), (-1, 5)])
def test_an_ending_that_means_nothing_is_refused(digits):
    assert reason(lambda: Ending(100, digits)) == "GUARDRAIL_INVALID"
