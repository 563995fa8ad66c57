"""Energies of networks that took turns: as ratios of the dense network's, and with the idle rest of each period."""

from __future__ import annotations

from dataclasses import replace

from gdws.errors import GdwsError
from gdws.planning.search.evidence import Measurement, Timing

_LONGER = "measure longer: --min-duration 20"


def of_energy(timing: Timing, dense_mj: float | None) -> Timing:
    """``timing`` with the ratio of energies in place of that of latencies, and with the error of that ratio.

    Where the device gave none, that of the latencies stands in. Raises :class:`~gdws.errors.GdwsError` where an energy
    is missing.
    """
    if timing.energy_mj is None or dense_mj is None:
        raise GdwsError("the device measured no energy of a network", hint=_LONGER)
    sd = timing.relative_sd if timing.energy_ratio_sd is None else timing.energy_ratio_sd
    return replace(timing, ratio=timing.energy_mj / dense_mj, relative_sd=sd)


def in_energies(found: Measurement) -> Measurement:
    """``found`` with the ratios of its timings those of energies; raises as :func:`of_energy`."""
    timings = tuple(of_energy(timing, found.dense_mj) for timing in found.timings)
    return replace(found, timings=timings)


def per_period(found: Measurement, period_ms: float) -> Measurement:
    """``found`` with energies of whole periods: one inference, and rest until the next is due ``period_ms`` later.

    An inference that takes longer leaves no rest. Raises :class:`~gdws.errors.GdwsError` without an idle power.
    """
    idle_w = found.idle_w
    if idle_w is None:
        raise GdwsError("the device measured no idle power", hint="minimise the energy of an inference: energy")

    def whole(energy_mj: float | None, sd: float | None, busy_ms: float) -> tuple[float | None, float | None]:
        if energy_mj is None:
            return None, None
        sum_mj = energy_mj + idle_w * max(0.0, period_ms - busy_ms)
        return sum_mj, None if sd is None else sd * energy_mj / sum_mj

    timings = []
    for timing in found.timings:
        energy_mj, sd = whole(timing.energy_mj, timing.energy_sd, timing.ratio * found.dense_ms)
        # Ratios of periods keep the errors of those of inferences, which are larger: rest varies little.
        timings.append(replace(timing, energy_mj=energy_mj, energy_sd=sd))
    dense_mj, dense_sd = whole(found.dense_mj, found.dense_sd, found.dense_ms)
    return replace(found, timings=tuple(timings), dense_mj=dense_mj, dense_sd=dense_sd)
