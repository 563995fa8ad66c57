"""Intervals of positive figures and of their ratios, on the logarithmic scale, where slowdowns add up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Logs = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A positive figure with a two-sided confidence interval of ``level``."""

    value: float
    low: float
    high: float
    level: float


def geometric_mean(values: Sequence[float], *, level: float = 0.95) -> Estimate | None:
    """The geometric mean of independent positive ``values`` with Student's t interval on their logarithms.

    None for fewer than two values, or where one is not positive and finite.
    """
    logs = _logs(values)
    if logs is None:
        return None
    margin = t_quantile((1 + level) / 2, len(logs) - 1) * _deviation(logs) / math.sqrt(len(logs))
    return from_logs(float(logs.mean()), margin, level)


def unpaired_ratio(
    numerators: Sequence[float], denominators: Sequence[float], *, level: float = 0.95
) -> Estimate | None:
    """The ratio of the geometric means of two independent samples, with Welch's (1947) interval.

    None where :func:`geometric_mean` of either is None.
    """
    above, below = _logs(numerators), _logs(denominators)
    if above is None or below is None:
        return None
    parts = [_deviation(logs) ** 2 / len(logs) for logs in (above, below)]
    variance = math.fsum(parts)
    centre = float(above.mean() - below.mean())
    if variance == 0:
        return from_logs(centre, 0.0, level)
    weights = [part * part / (len(logs) - 1) for part, logs in zip(parts, (above, below), strict=True)]
    freedom = variance * variance / math.fsum(weights)
    return from_logs(centre, t_quantile((1 + level) / 2, freedom) * math.sqrt(variance), level)


def from_logs(centre: float, margin: float, level: float) -> Estimate:
    """The estimate whose logarithm is ``centre``, give or take ``margin``."""
    return Estimate(math.exp(centre), math.exp(centre - margin), math.exp(centre + margin), level)


def t_quantile(probability: float, degrees_of_freedom: float) -> float:
    """The quantile of Student's t distribution."""
    from scipy.special import stdtrit  # at call time: most commands never need it

    return float(stdtrit(degrees_of_freedom, probability))


def _logs(values: Sequence[float]) -> _Logs | None:
    array: _Logs = np.asarray(values, dtype=np.float64)
    if len(array) < 2 or not bool(np.all(np.isfinite(array) & (array > 0))):
        return None
    logs: _Logs = np.log(array)
    return logs


def _deviation(logs: _Logs) -> float:
    return float(logs.std(ddof=1))
