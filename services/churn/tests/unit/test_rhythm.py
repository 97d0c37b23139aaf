"""Buying rhythm and the value of purchases: formulas against integrals, fits against what drew the data."""

from __future__ import annotations

from itertools import pairwise
from math import inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_churn.domain.bgnbd import BgNbd, hypergeometric
from rapport_churn.domain.gamma_gamma import GammaGamma
from rapport_churn.training.fitting import NotFittedError, fit_bgnbd, fit_gamma_gamma, fit_logistic
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import gammaln, hyp2f1
from sklearn.linear_model import LogisticRegression

PUBLISHED = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)
"""Of the CDNOW sample, in weeks (Fader, Hardie and Lee, 2005)."""


def customer_of(drawn: tuple[int, float, float]) -> tuple[float, float, float]:
    frequency, one, other = drawn
    return float(frequency), min(one, other) if frequency else 0.0, max(one, other)


customers = st.tuples(st.integers(0, 40), st.floats(0, 300), st.floats(0, 300)).map(customer_of)


def simulated(seed: int, people: int, days: float):
    """Draw people from the model itself: frequency, recency and tenure."""
    draw = np.random.default_rng(seed)
    rows = []
    for rate, stops in zip(draw.gamma(0.6, 1 / 40.0, people), draw.beta(0.9, 3.0, people), strict=True):
        tenure = days * draw.uniform(0.4, 1.0)
        at, last, bought = 0.0, 0.0, 0
        while (at := at + draw.exponential(1 / rate)) < tenure:
            bought, last = bought + 1, at
            if draw.random() < stops:
                break
        rows.append((bought, last, tenure))
    return np.array(rows, dtype=float)


def test_the_paper_s_customer_is_expected_to_buy_as_often_as_the_paper_says():
    assert PUBLISHED.purchases(2, 30.43, 38.86, 39) == pytest.approx(1.226, abs=0.001)


def test_somebody_who_never_bought_again_is_alive_by_the_model_and_may_still_be_gone():
    assert PUBLISHED.chance_alive(0, 0.0, 38.86) == 1.0
    assert PUBLISHED.churn(0, 0.0, 38.86, 39) == pytest.approx((43.274 / 82.274) ** 0.243)


@given(customers, st.floats(0.5, 365))
def test_chances_lie_between_zero_and_one_and_fall_with_time(customer, days):
    frequency, recency, tenure = customer
    near, far = (PUBLISHED.churn(frequency, recency, tenure, ahead) for ahead in (days, 2 * days))
    assert 0.0 <= far <= near <= 1.0
    odds = PUBLISHED.log_odds_churn(frequency, recency, tenure, days)
    assert 1 / (1 + np.exp(-odds)) == pytest.approx(near, abs=1e-9)


@given(customers)
def test_more_days_never_bring_fewer_purchases(customer):
    frequency, recency, tenure = customer
    expected = [PUBLISHED.purchases(frequency, recency, tenure, days) for days in (1, 10, 100, 1000)]
    assert all(0 <= one <= other + 1e-9 for one, other in pairwise(expected))


@given(st.floats(-3, 3), st.floats(-1.5, 3), st.floats(0.1, 60), st.floats(0, 0.99))
def test_the_series_is_the_hypergeometric_function(a, b, c, z):
    assert hypergeometric(a, b, c, z) == pytest.approx(hyp2f1(a, b, c, z), rel=1e-8, abs=1e-10)


@given(customers, st.floats(0.5, 365))
@settings(max_examples=30)
def test_expected_purchases_are_those_of_the_published_formula(customer, days):
    x, last, now = customer
    r, alpha, a, b = 0.243, 4.414, 0.793, 2.426
    share = days / (alpha + now + days)
    series = hyp2f1(r + x, b + x, a + b + x - 1, share)
    top = (a + b + x - 1) / (a - 1) * (1 - ((alpha + now) / (alpha + now + days)) ** (r + x) * series)
    ratio = ((alpha + now) / (alpha + last)) ** (r + x)
    bottom = 1 + (a / (b + x - 1) * ratio if x else 0.0)
    assert PUBLISHED.purchases(x, last, now, days) == pytest.approx(top / bottom, rel=1e-5, abs=1e-7)


def test_churn_is_the_integral_over_all_rates():
    x, last, now, days = 3, 20.0, 30.0, 15.0
    shape, scale = PUBLISHED.r + x, 1 / (PUBLISHED.alpha + now)
    density = lambda rate: rate ** (shape - 1) * np.exp(-rate / scale - shape * log(scale) - gammaln(shape))  # noqa: E731
    silent, _ = quad(lambda rate: density(rate) * np.exp(-rate * days), 0, 20)
    alive = PUBLISHED.chance_alive(x, last, now)
    assert PUBLISHED.churn(x, last, now, days) == pytest.approx(1 - alive + alive * silent, abs=1e-8)


def test_parameters_must_be_positive():
    with pytest.raises(ValueError, match="positive"):
        BgNbd(1, 1, 0, 1)


def test_a_fit_finds_what_drew_the_data():
    rows = simulated(1, 6000, 400.0)
    found = fit_bgnbd(*rows.T)
    assert found.r == pytest.approx(0.6, rel=0.15)
    assert found.alpha == pytest.approx(40.0, rel=0.2)
    assert found.a / (found.a + found.b) == pytest.approx(0.9 / 3.9, rel=0.15)


def test_a_fit_is_the_optimum_of_the_plain_likelihood():
    rows = np.round(simulated(2, 400, 300.0))
    x, last, now = rows.T

    def loss(logs):
        r, alpha, a, b = np.exp(logs)
        common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + gammaln(a + b) + gammaln(b + x) - gammaln(b)
        common -= gammaln(a + b + x)
        silent = -(r + x) * np.log(alpha + now)
        stopped = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + last)
        return -np.sum(common + np.logaddexp(silent, np.where(x > 0, stopped, -inf)))

    plain = minimize(loss, [0, 3, 0, 0], method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-8, "fatol": 1e-10})
    found = fit_bgnbd(x, last, now)
    assert loss(np.log([found.r, found.alpha, found.a, found.b])) <= plain.fun + 1e-6


def test_nobody_who_bought_twice_teaches_no_rhythm():
    with pytest.raises(NotFittedError):
        fit_bgnbd(np.zeros(10), np.zeros(10), np.full(10, 30.0))


def test_values_of_purchases_are_found_again():
    draw = np.random.default_rng(3)
    purchases = draw.integers(1, 12, 4000).astype(float)
    means = draw.gamma(6.0 * purchases) / (draw.gamma(4.0, 1 / 1500.0, 4000) * purchases)
    found = fit_gamma_gamma(purchases, means)
    assert (found.p, found.q, found.v) == pytest.approx((6.0, 4.0, 1500.0), rel=0.2)


def test_an_expected_value_lies_between_everybody_s_mean_and_the_own_one():
    model = GammaGamma(6.0, 4.0, 1500.0)
    everybody = model.mean_value(0, 0.0)
    assert everybody == pytest.approx(3000.0)
    assert everybody < model.mean_value(1, 9000.0) < model.mean_value(20, 9000.0) < 9000.0


def test_logistic_regression_is_that_of_scikit_learn():
    draw = np.random.default_rng(4)
    columns = draw.normal(size=(500, 4))
    labels = (draw.random(500) < 1 / (1 + np.exp(-columns[:, 0] + 0.5))).astype(float)
    own = fit_logistic(columns, labels, ridge=2.0)
    theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=500).fit(columns, labels)
    assert own.coefficients == pytest.approx(theirs.coef_[0], abs=1e-4)
    assert own.intercept == pytest.approx(theirs.intercept_[0], abs=1e-4)
