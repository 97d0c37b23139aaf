"""Fits by maximum likelihood: BG/NBD, Gamma-Gamma and logistic regression. The only users of scipy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import digamma, expit, gammaln

from rapport_churn.domain.bgnbd import BgNbd
from rapport_churn.domain.gamma_gamma import GammaGamma

Floats = NDArray[np.float64]

_STEPS: Final = 60
_SETTLED: Final = 1e-10


class NotFittedError(Exception):
    """The data determine no parameters."""


def fit_bgnbd(frequency: Floats, recency: Floats, tenure: Floats, *, penalty: float = 0.0) -> BgNbd:
    """Return the parameters that make what was seen most likely.

    Customers with equal numbers count as one row with a weight, and terms that depend on the frequency alone are taken
    once for each frequency: a whole shop is fitted in a fraction of a second.

    Args:
        frequency: Repeat purchases of each customer.
        recency: Days from the first to the last purchase.
        tenure: Days from the first purchase until the cutoff.
        penalty: Weight of the squared logarithms of the parameters, per customer; holds them finite on thin data.

    Raises:
        NotFittedError: There are no customers, nobody has bought again, or no optimum exists.
    """
    if not len(frequency) or not np.any(frequency > 0):
        raise NotFittedError("nobody has bought twice")
    scale = float(np.max(tenure)) / 30.0 or 1.0
    rows, weights = np.unique(np.column_stack([frequency, recency, tenure]), axis=0, return_counts=True)
    x, last, now = rows[:, 0], rows[:, 1] / scale, rows[:, 2] / scale
    share = weights / len(frequency)
    counts, place = np.unique(x, return_inverse=True)
    of_count = np.bincount(place, share)
    again = x > 0

    def loss(logs: Floats) -> tuple[float, Floats]:
        r, alpha, a, b = np.exp(logs)
        ends = digamma(r + counts) - digamma(r)
        alive = digamma(a + b) - digamma(a + b + counts)
        base = gammaln(r + counts) - gammaln(r) + r * np.log(alpha)
        base += gammaln(a + b) - gammaln(a + b + counts) + gammaln(b + counts) - gammaln(b)
        silent = -(r + x) * np.log(alpha + now)
        stopped = np.full_like(x, -np.inf)
        stopped[again] = np.log(a / (b + x[again] - 1.0)) - (r + x[again]) * np.log(alpha + last[again])
        either = np.logaddexp(silent, stopped)
        by = np.exp(stopped - either)
        in_stop = by[again] * share[again]
        d_r = of_count @ (ends + np.log(alpha)) - share @ ((1 - by) * np.log(alpha + now) + by * np.log(alpha + last))
        d_alpha = r / alpha - share @ ((r + x) * ((1 - by) / (alpha + now) + by / (alpha + last)))
        d_a = of_count @ alive + in_stop.sum() / a
        d_b = of_count @ (alive + digamma(b + counts) - digamma(b)) - in_stop @ (1.0 / (b + x[again] - 1.0))
        slope = np.array([d_r * r, d_alpha * alpha, d_a * a, d_b * b])
        value = of_count @ base + share @ either
        return penalty * float(logs @ logs) - value, 2.0 * penalty * logs - slope

    logs = _minimum(loss, np.zeros(4))
    r, alpha, a, b = (float(value) for value in np.exp(logs))
    return BgNbd(r, alpha * scale, a, b)


def fit_gamma_gamma(purchases: Floats, mean_value: Floats, *, penalty: float = 1e-6) -> GammaGamma:
    """Return the parameters that make the observed means most likely.

    Args:
        purchases: Purchases that each mean is of; customers without any, or of no value, are left out.
        mean_value: Mean value of them, in minor units.
        penalty: Weight of the squared logarithms of the parameters, per customer.

    Raises:
        NotFittedError: Nobody has bought anything of value, or no optimum exists.
    """
    use = (purchases > 0) & (mean_value > 0)
    if np.count_nonzero(use) < 2:
        raise NotFittedError("too few customers have spent anything")
    scale = float(np.mean(mean_value[use]))
    x, m = purchases[use], mean_value[use] / scale
    total = len(x)

    def loss(logs: Floats) -> tuple[float, Floats]:
        p, q, v = np.exp(logs[0]), 1.0 + np.exp(logs[1]), np.exp(logs[2])
        px = p * x
        mass = x * m + v
        value = gammaln(px + q) - gammaln(px) - gammaln(q) + q * np.log(v) + (px - 1) * np.log(m) + px * np.log(x)
        value -= (px + q) * np.log(mass)
        d_p = x * (digamma(px + q) - digamma(px) + np.log(m) + np.log(x) - np.log(mass))
        d_q = digamma(px + q) - digamma(q) + np.log(v) - np.log(mass)
        d_v = q / v - (px + q) / mass
        slope = np.array([d_p.sum() * p, d_q.sum() * (q - 1.0), d_v.sum() * v]) / total
        return penalty * float(logs @ logs) - float(value.sum()) / total, 2.0 * penalty * logs - slope

    logs = _minimum(loss, np.array([1.0, 1.0, 0.0]))
    return GammaGamma(float(np.exp(logs[0])), 1.0 + float(np.exp(logs[1])), float(np.exp(logs[2])) * scale)


def _minimum(loss: object, start: Floats) -> Floats:
    bounds = [(-12.0, 12.0)] * len(start)
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-8}
    )
    if not np.all(np.isfinite(found.x)) or not np.isfinite(found.fun):
        raise NotFittedError("the likelihood has no optimum")
    return np.asarray(found.x, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """Coefficients of a logistic regression.

    Attributes:
        intercept: Log-odds where every column is zero.
        coefficients: One for each column.
    """

    intercept: float
    coefficients: Floats


def fit_logistic(columns: Floats, labels: Floats, *, ridge: float, weights: Floats | None = None) -> LogisticFit:
    """Return the logistic regression with a penalty on squared coefficients, by Newton's method.

    Args:
        columns: Rows by columns, of comparable scale.
        labels: 0 or 1, or a share between.
        ridge: Half of it times the squared coefficients is added to the summed log-loss; the intercept is free.
        weights: Of the rows; all one where not given.

    Raises:
        NotFittedError: The steps do not settle on finite coefficients.
    """
    rows, width = columns.shape
    weight = np.ones(rows) if weights is None else weights
    design = np.column_stack([np.ones(rows), columns])
    penalty = np.full(width + 1, ridge)
    penalty[0] = 1e-9
    solution = np.zeros(width + 1)
    rate = float(np.clip(weight @ labels / weight.sum(), 1e-6, 1 - 1e-6))
    solution[0] = np.log(rate / (1 - rate))
    loss = _penalised(design, labels, weight, penalty, solution)
    for _ in range(_STEPS):
        chance = expit(design @ solution)
        slope = design.T @ (weight * (labels - chance)) - penalty * solution
        curve = (design * (weight * chance * (1 - chance))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.lstsq(curve, slope, rcond=None)[0]
        length = 1.0
        while (tried := _penalised(design, labels, weight, penalty, solution + length * step)) > loss and length > 1e-6:
            length /= 2.0
        solution = solution + length * step
        settled = loss - tried <= _SETTLED * (abs(loss) + 1.0)
        loss = tried
        if settled:
            break
    if not np.all(np.isfinite(solution)):
        raise NotFittedError("the logistic regression does not settle")
    return LogisticFit(float(solution[0]), solution[1:])


def _penalised(design: Floats, labels: Floats, weight: Floats, penalty: Floats, solution: Floats) -> float:
    odds = design @ solution
    return float(weight @ (np.logaddexp(0.0, odds) - labels * odds) + 0.5 * penalty @ (solution * solution))
