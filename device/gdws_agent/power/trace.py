"""The trace of a sampling sensor, and its figures over windows."""

from __future__ import annotations

import math
from collections import Counter
from typing import Collection, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from gdws_contract.findings.intervals import CONFIDENCE
from gdws_contract.measures import Flag, Interval, Power, PowerRail

from .base import Account, Window
from .energy import METHOD, EnergyRefused, Observation, Sample, observe
from .rails import TotalRule, total_rule


class Reading(NamedTuple):
    """The power of each rail, in watts, at some moment from ``start_s`` to ``end_s`` of ``time.monotonic``."""

    start_s: float
    end_s: float
    rails_w: Mapping[str, float]


class SampledTrace:
    """What a sensor read. ``trouble`` is what went wrong meanwhile, in words.

    ``missed`` are rails of the board that could not be read, now or ever: a total that they are part of is not known
    without them.
    """

    def __init__(
        self,
        sensor: str,
        readings: Sequence[Reading],
        trouble: Optional[str] = None,
        missed: Collection[str] = (),
    ) -> None:
        self._sensor = sensor
        self._trouble = trouble
        self._rule = _rule_of(readings, missed)
        self.samples = [] if self._rule is None else _samples_of(readings, self._rule)

    def readings(self) -> Sequence[Sample]:
        """Return the readings that have every rail of the total."""
        return self.samples

    def account(
        self, windows: Sequence[Window], *, inferences: int, batch_size: int, idle: Sequence[Window] = ()
    ) -> Account:
        """Return power and energy over ``windows``; see :class:`~gdws_agent.power.base.Trace`.

        Energy is that of one call, whatever its batch size. FPS per watt is images per joule, the same unit, over
        the windows themselves.
        """
        if self._rule is None:
            return self._refused("the sensor gave no readings")
        if not self.samples:
            return self._refused(f"the total is not known: {self._rule.scope}; not all of that could be read")
        try:
            seen = observe(self.samples, windows)
        except EnergyRefused as error:
            return self._refused(str(error))
        baseline, flags = self._baseline(idle)
        if self._trouble is not None:
            flags.append(Flag(code="power-sensor-trouble", detail=self._trouble))
        energy_mj = seen.energy_j / inferences * 1e3
        margin_mj = energy_mj * seen.margin_w / seen.mean_w
        net_mj = None if baseline is None else energy_mj * (1 - baseline.mean_w / seen.mean_w)
        power = Power(
            sensor=self._sensor,
            scope=self._rule.scope,
            mean_w=seen.mean_w,
            peak_w=seen.peak_w,
            idle_w=None if baseline is None else baseline.mean_w,
            energy_per_inference_mj=energy_mj,
            # Below the baseline there is nothing to tell but that; the flag does.
            net_energy_per_inference_mj=None if net_mj is None or net_mj < 0 else net_mj,
            energy_interval=Interval(
                low=energy_mj - margin_mj, high=energy_mj + margin_mj, level=CONFIDENCE, method=METHOD
            ),
            fps_per_watt=inferences * batch_size / seen.energy_j,
            samples=len(seen.shares),
            interval_ms=seen.interval_s * 1e3,
            timing_uncertainty_ms=seen.latency_s * 1e3,
            rails=[_rail(seen, name) for name in seen.rails()],
        )
        return Account(power, [*doubts(seen, baseline), *flags])

    def _baseline(self, idle: Sequence[Window]) -> Tuple[Optional[Observation], List[Flag]]:
        if not idle:
            return None, []
        try:
            return observe(self.samples, idle), []
        except EnergyRefused as error:
            return None, [Flag(code="power-no-baseline", detail=f"no idle baseline: {error}")]

    def _refused(self, reason: str) -> Account:
        if self._trouble is not None:
            reason = f"{reason}; {self._trouble}"
        return Account(Power(sensor=self._sensor, reason=reason), [])


def doubts(seen: Observation, baseline: Optional[Observation] = None) -> Iterator[Flag]:
    """Yield the flags of the figures."""
    if seen.longest_window_s < seen.interval_s:
        yield Flag(
            code="power-windows-short",
            detail=f"windows of {seen.longest_window_s:.2f} s are shorter than the {seen.interval_s:.2f} s between "
            f"power readings, and {seen.empty_windows} hold none: the figures suppose the same power in every round",
        )
    if seen.silent_s > 0:
        yield Flag(
            code="power-sensor-silent",
            detail=f"there are no power readings for {seen.silent_s:.1f} s of the {seen.duration_s:.1f} s measured",
        )
    if baseline is not None and seen.mean_w - baseline.mean_w <= math.hypot(seen.margin_w, baseline.margin_w):
        yield Flag(code="power-near-idle", detail="power is not above the idle baseline by more than the error bars")


def _rail(seen: Observation, name: str) -> PowerRail:
    # An idle rail can read slightly below nothing, which is the offset of the sensor.
    return PowerRail(name=name, mean_w=max(0.0, seen.rail_mean_w(name)), peak_w=max(0.0, seen.rail_peak_w(name)))


def _rule_of(readings: Sequence[Reading], missed: Collection[str]) -> Optional[TotalRule]:
    """Return the rule for ``missed`` and the rails that most readings have.

    One can miss in a reading, and is still in the total.
    """
    counts = Counter(name for reading in readings for name in reading.rails_w)
    usual = [name for name, count in counts.items() if 2 * count > len(readings)]
    return total_rule({*usual, *missed}) if usual else None


def _samples_of(readings: Sequence[Reading], rule: TotalRule) -> List[Sample]:
    """Return the readings that have every rail of the total."""
    totals = [rule.total_w(reading.rails_w) for reading in readings]
    return [
        Sample(reading.start_s, reading.end_s, total, reading.rails_w)
        for reading, total in zip(readings, totals)
        if total is not None
    ]
