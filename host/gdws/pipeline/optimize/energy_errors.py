"""Standard errors of energies: of the power that was read, and of how long inferences took from round to round.

A cell's own interval of energy says how well its windows were read. Another run takes other times, on a busy machine by
far, so what is to hold for the next run counts the spread over rounds, too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from gdws_contract.findings.student_t import t_quantile
from gdws_contract.rest import Cell

_Z = 1.96


def energy_sd(cell: Cell) -> float | None:
    """The relative standard error of the energy of an inference; None where there is none."""
    power_sd = _power_sd(cell)
    paces = _paces(cell)
    if power_sd is None or len(paces) < 2:
        return power_sd
    return math.hypot(power_sd, _standard_error(paces) / statistics.fmean(paces))


def energy_ratio_sd(cell: Cell, dense: Cell) -> float | None:
    """That of the ratio to the dense network's energy, paired by rounds: what slowed both in a round cancels."""
    power_sds = _power_sd(cell), _power_sd(dense)
    if power_sds[0] is None or power_sds[1] is None:
        return None
    logs = [math.log(mine / rival) for mine, rival in zip(_paces(cell), _paces(dense), strict=False)]
    paired = _standard_error(logs) if len(logs) >= 2 else 0.0
    return math.hypot(paired, power_sds[0], power_sds[1])


def _power_sd(cell: Cell) -> float | None:
    power = cell.power
    if power is None or power.energy_interval is None or not power.energy_per_inference_mj:
        return None
    interval = power.energy_interval
    return (interval.high - interval.low) / (2 * _Z * power.energy_per_inference_mj)


def _paces(cell: Cell) -> list[float]:
    """Seconds an inference in each round."""
    return [each.duration_s / each.count for each in cell.rounds if each.duration_s > 0]


def _standard_error(values: Sequence[float]) -> float:
    """Of the mean, as wide as its 95 % interval by Student's t is in normal standard errors."""
    count = len(values)
    return statistics.stdev(values) / math.sqrt(count) * t_quantile(0.975, count - 1) / _Z
