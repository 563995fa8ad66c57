"""The quantile of Student's t distribution, with the standard library alone."""

from __future__ import annotations

import math
from typing import NamedTuple

#: Nothing beyond is of use, and within it no intermediate value overflows.
_LEAST_PROBABILITY = 1e-100
#: The logarithm of t lies between: the quantiles nearest to the centre, and those of the least probability.
_LOWEST_LOG, _HIGHEST_LOG = -40.0, 232.0
_MAX_STEPS = 200
_SMALLEST = 1e-300


def t_quantile(probability: float, degrees_of_freedom: float) -> float:
    """The t with P(T <= t) = ``probability``, to about twelve digits.

    Newton's method on the logarithms of t and of the nearer of P(|T| > t) and P(|T| <= t), which are nearly straight
    lines at both ends; halving keeps it within its bracket.

    Raises:
        ValueError: ``probability`` is below 1e-100 or not below 1, or ``degrees_of_freedom`` is below 1 or infinite.
    """
    if not _LEAST_PROBABILITY <= probability < 1 or not 1 <= degrees_of_freedom < math.inf:
        raise ValueError(f"no t quantile at {probability} with {degrees_of_freedom} degrees of freedom")
    outside = 2 * min(probability, 1 - probability)
    inside = abs(2 * probability - 1)
    if inside == 0:
        return 0.0
    by_tail = outside < inside
    wanted = math.log(outside if by_tail else inside)
    low, high, log_t = _LOWEST_LOG, _HIGHEST_LOG, 0.0
    for _ in range(_MAX_STEPS):
        found = _logs(math.exp(log_t), degrees_of_freedom)
        excess = (wanted - found.outside) if by_tail else (found.inside - wanted)  # rises with t
        low, high = (low, log_t) if excess > 0 else (log_t, high)
        slope = math.exp(found.density + log_t - (found.outside if by_tail else found.inside))
        following = log_t - excess / slope if slope > 0 else math.inf
        if not low < following < high:
            following = (low + high) / 2
        moved, log_t = abs(following - log_t), following
        if moved < 1e-14:
            break
    return math.copysign(math.exp(log_t), probability - 0.5)


class _Logs(NamedTuple):
    """Logarithms of P(|T| <= t), P(|T| > t), and the density of |T| at t."""

    inside: float
    outside: float
    density: float


def _logs(t: float, v: float) -> _Logs:
    """P(|T| > t) is the regularised incomplete beta function I_x(v/2, 1/2) at x = v / (v + t^2).

    By its continued fraction where that converges fast, else by that of the complement, which is then not small
    (Abramowitz and Stegun, 26.5.2, 26.5.8 and 26.7.1).
    """
    square = t * t / v
    x, y = 1 / (1 + square), square / (1 + square)
    density = math.log(2 / math.sqrt(v)) - _log_beta_half(v / 2) - (v + 1) / 2 * math.log1p(square)
    #: x^(v/2) y^(1/2) / B(v/2, 1/2)
    front = density + math.log(t / 2)
    if x < (v / 2 + 1) / (v / 2 + 2.5):
        outside = front - math.log(v / 2) + math.log(_continued_fraction(v / 2, 0.5, x))
        return _Logs(math.log1p(-math.exp(outside)), outside, density)
    inside = front - math.log(0.5) + math.log(_continued_fraction(0.5, v / 2, y))
    return _Logs(inside, math.log1p(-math.exp(inside)), density)


def _log_beta_half(a: float) -> float:
    """log B(a, 1/2). For large ``a`` by the series of Gamma(a + 1/2) / Gamma(a), where log-gammas would cancel."""
    if a < 20:
        return math.lgamma(a) + math.lgamma(0.5) - math.lgamma(a + 0.5)
    coefficients = (-1 / 8, 1 / 192, -1 / 640, 17 / 14_336, -31 / 18_432)
    series = math.fsum(each / a ** (2 * index + 1) for index, each in enumerate(coefficients))
    return (math.log(math.pi) - math.log(a)) / 2 - series


def _continued_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 / _away_from_0(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for numerator in (even, odd):
            d = 1 / _away_from_0(1 + numerator * d)
            c = _away_from_0(1 + numerator / c)
            value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value


def _away_from_0(value: float) -> float:
    return value if abs(value) > _SMALLEST else _SMALLEST
