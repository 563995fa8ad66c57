"""Measured quantities with units; an unmeasured one is ``None`` with a reason."""

from __future__ import annotations

from typing import List, Optional, Union

from pydantic import Field, model_validator

from .base import Finite, Fraction, Name, NonNegative, Reading
from .thermal import Thermal


class Interval(Reading):
    """A two-sided confidence interval."""

    low: Finite
    high: Finite
    level: Fraction = 0.95
    method: str = Field(description="How it was computed, e.g. 'wilson' or 'paired-rounds-t'.")


class Proportion(Reading):
    """``successes`` of ``count`` trials, e.g. an accuracy."""

    value: Fraction
    successes: int = Field(ge=0)
    count: int = Field(gt=0)
    interval: Optional[Interval] = None

    @model_validator(mode="after")
    def _possible(self) -> Proportion:
        if self.successes > self.count:
            raise ValueError(f"{self.successes} successes of {self.count} trials")
        return self


class Figure(Reading):
    """A measured quantity that is not a share of trials, e.g. a mean error."""

    value: Finite
    higher_is_better: bool
    unit: Optional[str] = Field(None, max_length=40, description="null: a bare number.")
    interval: Optional[Interval] = None


#: How good a network is by one measure. More of a proportion is better.
Metric = Union[Proportion, Figure]


class LatencySummary(Reading):
    """Times of single inferences over the measured windows, in milliseconds.

    Percentiles that the sample count cannot support are ``None``; ``percentiles_withheld``
    says which and why.
    """

    scope: str = Field(description="What one time covers, in words.")
    count: int = Field(gt=0)
    min_ms: NonNegative
    mean_ms: NonNegative
    median_ms: NonNegative
    p90_ms: Optional[NonNegative] = None
    p95_ms: Optional[NonNegative] = None
    p99_ms: Optional[NonNegative] = None
    max_ms: NonNegative
    std_ms: Optional[NonNegative] = None
    cv: Optional[NonNegative] = Field(None, description="Coefficient of variation: std / mean.")
    percentiles_withheld: Optional[str] = None


class TimeSummary(Reading):
    """One part of an inference, in milliseconds."""

    min_ms: NonNegative
    mean_ms: NonNegative
    median_ms: NonNegative
    max_ms: NonNegative


class DeviceLatency(Reading):
    """Inferences by the device's own clock. Fields as trtexec's H2D latency, GPU compute time and D2H latency."""

    count: int = Field(gt=0)
    h2d: TimeSummary = Field(description="Inputs from the host to the device.")
    compute: TimeSummary
    d2h: TimeSummary = Field(description="Outputs from the device to the host.")


class Sustained(Reading):
    """One variant run without a pause: the speed at first, and the speed that heat and power allow for long."""

    duration_s: NonNegative
    burst_fps: NonNegative = Field(description="Images per second in the first tenth of the time.")
    sustained_fps: NonNegative = Field(description="Images per second in the last fifth of the time.")
    thermal: Optional[Thermal] = Field(None, description="Temperatures and clocks over this time.")


class RoundSummary(Reading):
    """One window of one variant: what the interleaved comparison is made of."""

    index: int = Field(ge=0)
    count: int = Field(gt=0)
    median_ms: NonNegative
    duration_s: NonNegative


class SpeedUp(Reading):
    """How many times faster than the baseline, paired round by round."""

    ratio: NonNegative = Field(description="Baseline latency / this variant's latency.")
    interval: Optional[Interval] = None
    rounds: int = Field(gt=0)
    baseline: Name


class OutputParity(Reading):
    """One output of the replayed inputs against the host's record. Differences are null where one was NaN or infinite.

    Floating-point numbers may differ by ``tolerance_abs``, or by the tolerance of the whole times the largest |host
    value|, whichever is more. Integers and booleans are compared by how many are equal.
    """

    name: str
    passed: bool
    scale: NonNegative = Field(description="Largest |host value|.")
    max_abs_diff: Optional[NonNegative] = Field(description="Largest |difference|.")
    max_rel_diff: Optional[NonNegative] = Field(
        description="max_abs_diff over scale; null also where that is 0 and there is a difference."
    )
    tolerance_abs: NonNegative = Field(description="Differences up to this are rounding errors of numbers near one.")
    agreement: Optional[Proportion] = Field(None, description="Share of equal elements; of integers and booleans.")


class Parity(Reading):
    """The verification set replayed on the device against the host's record.

    Accuracies are those of classifiers with labels. ``agreement`` is on decisions, where the task has them: the class
    of each input, of each pixel, or of each box whose score makes it an object on the device or the host.
    """

    passed: bool
    reasons: List[str] = Field(default_factory=list, description="Why it failed; empty when it passed.")
    count: int = Field(gt=0, description="Natural inputs replayed.")
    max_abs_diff: Optional[NonNegative] = Field(
        description="Largest |difference| of any floating-point output; null when one was NaN or infinite, or where "
        "there is none."
    )
    max_rel_diff: Optional[NonNegative] = Field(
        description="Largest difference of any floating-point output over its largest |host value|; null as "
        "max_abs_diff."
    )
    tolerance_rel: NonNegative
    outputs: List[OutputParity] = Field(
        default_factory=list, description="In the manifest's order; empty in results of schema 1."
    )
    agreement: Optional[Proportion] = Field(None, description="Share of decisions that are the host's.")
    natural: Optional[Proportion] = Field(None, description="Accuracy on the verification inputs, on the device.")
    natural_host: Optional[Proportion] = Field(None, description="The same images and engine-free outputs of the host.")
    robust: Optional[Proportion] = Field(
        None, description="Accuracy on the replayed adversarial inputs, on the device."
    )
    robust_host: Optional[Proportion] = None


class PowerRail(Reading):
    """One supply rail over the measured windows."""

    name: str
    mean_w: NonNegative
    peak_w: NonNegative


class Power(Reading):
    """Power and energy of a cell; every figure ``None`` with a ``reason`` when not measured."""

    sensor: str
    reason: Optional[str] = Field(None, description="Why there are no figures.")
    scope: Optional[str] = Field(None, description="What the total covers, e.g. 'module power, rail VDD_IN'.")
    mean_w: Optional[NonNegative] = None
    peak_w: Optional[NonNegative] = None
    idle_w: Optional[NonNegative] = None
    energy_per_inference_mj: Optional[NonNegative] = Field(None, description="Of one call, whatever its batch size.")
    net_energy_per_inference_mj: Optional[NonNegative] = Field(None, description="Above the idle baseline.")
    energy_interval: Optional[Interval] = Field(None, description="Of energy_per_inference_mj.")
    fps_per_watt: Optional[NonNegative] = Field(None, description="Images per joule over the measured windows.")
    samples: Optional[int] = Field(None, ge=0)
    interval_ms: Optional[NonNegative] = None
    timing_uncertainty_ms: Optional[NonNegative] = Field(None, description="Uncertainty of the times of the readings.")
    rails: List[PowerRail] = Field(default_factory=list)


class BuildSpread(Reading):
    """Several engines of one model: builders choose by timing, so their engines differ."""

    count: int = Field(ge=2)
    best_ms: NonNegative = Field(description="Median latency of the fastest engine.")
    median_ms: NonNegative = Field(description="Of the engine that was kept.")
    worst_ms: NonNegative
    build_times_s: List[NonNegative]


class Build(Reading):
    """The build of the engine."""

    time_s: NonNegative
    size_bytes: Optional[int] = Field(None, ge=0)
    from_cache: bool = False
    precision: str = Field(description="The precision in force, read back where the runtime tells.")
    options: List[str] = Field(default_factory=list, description="Settings that shape speed, as name=value.")
    spread: Optional[BuildSpread] = Field(None, description="If more than one engine was requested.")


class Flag(Reading):
    """A reason why a figure may be unreliable."""

    code: Name
    detail: str
