"""Energy over windows from instantaneous power readings. Pure functions.

A cell is measured in many short windows that take turns with those of other variants, and power steps at
their edges. A line from the last reading before a window to the first inside it would mix in what ran
before. So only readings taken wholly inside a window speak for it: power runs straight between two of them
(the trapezoidal rule), and is held from the edge of the window to the nearest. That gives each reading the
time that is nearer to it than to any other reading of its window.

A window too short to hold a reading is represented by the others: mean power is taken over the time that
was observed, and energy is that mean times the whole measured time. This is fair as long as every window
does the same work.

The error bar joins two doubts. Sampling: from the mean square of the differences between successive readings
(von Neumann 1941; Wolter 1984 for systematic samples). A slow drift, which the integral follows, does not
widen it; noise, steps, and whatever changes faster than the sensor reads, do. Timing: the readings may all be
dated early or late by as much as the sensor leaves open. The calibration of the sensor is not covered.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import List, Mapping, NamedTuple, Sequence

from gdws_contract.findings.intervals import CONFIDENCE
from gdws_contract.findings.student_t import t_quantile

#: With fewer readings inside the windows there is no figure: its error bar would mislead.
MIN_SAMPLES = 10
#: A reading represents at most this many sampling intervals to either side.
HOLD_INTERVALS = 1.5
#: There is no figure when the sensor was silent for more than this share of the windows.
MAX_SILENT_SHARE = 0.5
METHOD = "successive-differences-t and timing; calibration not included"


class Window(NamedTuple):
    """A stretch of time on the clock of ``time.monotonic``."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Sample:
    """One instantaneous reading of all rails, taken at some moment from ``start_s`` to ``end_s``."""

    start_s: float
    end_s: float
    total_w: float
    rails_w: Mapping[str, float]

    @property
    def time_s(self) -> float:
        """The best estimate of the moment."""
        return (self.start_s + self.end_s) / 2


class EnergyRefused(Exception):
    """The readings do not support a figure; the message says why and what would help."""


class Share(NamedTuple):
    """A reading, and the seconds of the windows that it represents."""

    sample: Sample
    weight_s: float


@dataclass(frozen=True)
class Observation:
    """What a sensor saw of some windows, ``duration_s`` long in all. ``shares`` are in order of time.

    ``interval_s``: median time between readings. ``latency_s``: by how much their times may be off, in the median.
    ``silent_s``: time in the windows without readings anywhere near. ``change_w``: power at the end less power
    at the start, added up over the windows.
    """

    shares: Sequence[Share]
    duration_s: float
    longest_window_s: float
    empty_windows: int
    interval_s: float
    latency_s: float
    silent_s: float
    change_w: float

    @property
    def observed_s(self) -> float:
        """The time in the windows that readings represent."""
        return math.fsum(weight_s for _, weight_s in self.shares)

    @property
    def mean_w(self) -> float:
        """Mean total power over the observed time."""
        return math.fsum(sample.total_w * weight_s for sample, weight_s in self.shares) / self.observed_s

    @property
    def peak_w(self) -> float:
        """The highest total that was read."""
        return max(sample.total_w for sample, _ in self.shares)

    @property
    def energy_j(self) -> float:
        """Energy over the whole of the windows."""
        return self.mean_w * self.duration_s

    @property
    def standard_error_w(self) -> float:
        """Standard error of :attr:`mean_w` by sampling."""
        totals = [sample.total_w for sample, _ in self.shares]
        squares = math.fsum((after - before) ** 2 for before, after in zip(totals, totals[1:]))
        variance = squares / (2 * (len(totals) - 1))
        return math.sqrt(variance * math.fsum(weight_s**2 for _, weight_s in self.shares)) / self.observed_s

    @property
    def margin_w(self) -> float:
        """Half the width of the confidence interval of :attr:`mean_w`."""
        count = len(self.shares)
        # The degrees of freedom that match the variance of the mean square successive difference.
        freedom = 2 * (count - 1) ** 2 / (3 * count - 4)
        sampling_w = t_quantile((1 + CONFIDENCE) / 2, freedom) * self.standard_error_w
        return math.hypot(sampling_w, self.latency_s * self.change_w / self.observed_s)

    def rails(self) -> List[str]:
        """Return the names of the rails that every reading has, in order."""
        return sorted(set.intersection(*(set(sample.rails_w) for sample, _ in self.shares)))

    def rail_mean_w(self, rail: str) -> float:
        """Return the mean power of one rail over the observed time."""
        return math.fsum(sample.rails_w[rail] * weight_s for sample, weight_s in self.shares) / self.observed_s

    def rail_peak_w(self, rail: str) -> float:
        """Return the highest power that was read on one rail."""
        return max(sample.rails_w[rail] for sample, _ in self.shares)


def observe(samples: Sequence[Sample], windows: Sequence[Window]) -> Observation:
    """Return what ``samples``, in any order, say of ``windows``, which must not overlap.

    Raises:
        EnergyRefused: too few readings lie inside the windows, the sensor was silent for most of them, or
            it read no power at all.
    """
    ordered = sorted(samples, key=lambda sample: sample.time_s)
    times = [sample.time_s for sample in ordered]
    groups = [
        [sample for sample in _near(ordered, times, window, 0.0) if _within(sample, window)] for window in windows
    ]
    duration_s = math.fsum(window.duration_s for window in windows)
    interval_s = _interval_s(times) if len(times) > 1 else 0.0
    hold_s = HOLD_INTERVALS * interval_s
    silent_s = math.fsum(_silent_s(_near(ordered, times, window, hold_s), window, hold_s) for window in windows)
    if silent_s > MAX_SILENT_SHARE * duration_s:
        raise EnergyRefused(
            f"the sensor gave no readings for {silent_s:.1f} s of the {duration_s:.1f} s measured; measure again"
        )
    count = sum(len(group) for group in groups)
    if count < MIN_SAMPLES:
        raise EnergyRefused(_too_few(count, interval_s, len(windows), duration_s))
    shares = [share for group, window in zip(groups, windows) for share in _shares(group, window, hold_s)]
    if not any(sample.total_w > 0 for sample, _ in shares):
        raise EnergyRefused("the sensor read no power at all; it may be turned off")
    return Observation(
        shares=sorted(shares, key=lambda share: share.sample.time_s),
        duration_s=duration_s,
        longest_window_s=max(window.duration_s for window in windows),
        empty_windows=sum(not group for group in groups),
        interval_s=interval_s,
        latency_s=statistics.median((sample.end_s - sample.start_s) / 2 for sample, _ in shares),
        silent_s=silent_s,
        change_w=math.fsum(group[-1].total_w - group[0].total_w for group in groups if group),
    )


def needed_duration_s(interval_s: float, windows: int) -> float:
    """Return the measured time, over all ``windows``, that gives enough readings at one each ``interval_s``.

    Half as many again as the least, and at least two in each window.
    """
    return interval_s * max(1.5 * MIN_SAMPLES, 2.0 * windows)


def _near(ordered: Sequence[Sample], times: Sequence[float], window: Window, reach_s: float) -> Sequence[Sample]:
    """Return the samples whose time is in ``window`` or at most ``reach_s`` from it."""
    return ordered[bisect_left(times, window.start_s - reach_s) : bisect_right(times, window.end_s + reach_s)]


def _within(sample: Sample, window: Window) -> bool:
    return window.start_s <= sample.start_s and sample.end_s <= window.end_s


def _interval_s(times: Sequence[float]) -> float:
    return statistics.median(after - before for before, after in zip(times, times[1:]))


def _shares(group: Sequence[Sample], window: Window, hold_s: float) -> List[Share]:
    """Return the share of each of the window's readings, given in order of time."""
    if not group:
        return []
    times = [sample.time_s for sample in group]
    middles = [(before + after) / 2 for before, after in zip(times, times[1:])]
    starts = [window.start_s, *middles]
    ends = [*middles, window.end_s]
    return [
        Share(sample, min(end - time, hold_s) + min(time - start, hold_s))
        for sample, time, start, end in zip(group, times, starts, ends)
    ]


def _silent_s(near: Sequence[Sample], window: Window, hold_s: float) -> float:
    """Return the time in ``window`` that is farther than ``hold_s`` from every reading, inside it or not."""
    silent_s = 0.0
    heard_until = window.start_s
    for sample in near:
        silent_s += max(0.0, min(sample.time_s - hold_s, window.end_s) - heard_until)
        heard_until = max(heard_until, min(sample.time_s + hold_s, window.end_s))
    return silent_s + max(0.0, window.end_s - heard_until)


def _too_few(count: int, interval_s: float, windows: int, duration_s: float) -> str:
    needed_s = max(needed_duration_s(interval_s, windows), 1.5 * duration_s * MIN_SAMPLES / max(count, 1))
    return (
        f"{count} power readings lie inside the windows ({windows} of them, {duration_s:.1f} s in all) and "
        f"{MIN_SAMPLES} are needed: set min_duration_ms to {math.ceil(needed_s) * 1000}, or use a faster sensor"
    )
