"""The limits of a gate as plain data, from the command line or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field

from gdws_contract.base import Fraction, Name, Record

_Percent = Annotated[float, Field(ge=0, le=1_000, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

#: The name of a metric in the manifest of a bundle.
MetricName = Annotated[str, Field(min_length=1, max_length=200)]

#: A positive figure of one network in one setting and one run; see :mod:`gdws.gate.figures`.
Measure = Literal["latency", "p95", "p99", "fps", "energy"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


class Limits(Record):
    """Limits of every network in every setting; None: no limit. Parity and the build of the engine always count."""

    max_slowdown_percent: _Percent | None = Field(None, description="Latency, against the baseline.")
    max_p95_slowdown_percent: _Percent | None = Field(None, description="95th percentile, against the baseline.")
    max_p99_slowdown_percent: _Percent | None = Field(None, description="99th percentile, against the baseline.")
    max_energy_increase_percent: _Percent | None = Field(
        None, description="Energy of an inference, against the baseline."
    )
    max_latency_ms: _Positive | None = Field(None, description="Typical latency of an inference.")
    max_p95_ms: _Positive | None = Field(None, description="95th percentile of the latency.")
    max_p99_ms: _Positive | None = Field(None, description="99th percentile of the latency.")
    min_fps: _Positive | None = Field(None, description="Images per second.")
    max_energy_mj: _Positive | None = Field(None, description="Energy of an inference, in millijoules.")
    max_natural_drop_points: _Share | None = Field(
        None, description="Drop of the natural accuracy on the device from the baseline, in percentage points."
    )
    max_robust_drop_points: _Share | None = Field(
        None, description="Drop of the accuracy on the replayed adversarial inputs from the baseline, in points."
    )
    min_natural_percent: _Share | None = Field(None, description="Natural accuracy on the device.")
    min_robust_percent: _Share | None = Field(None, description="Accuracy on the replayed adversarial inputs.")
    max_drop_points: dict[MetricName, _Share] = Field(
        default_factory=dict,
        description="Fall of a metric that the host measured, by its name, e.g. detections_kept: against the "
        "baseline's, or the bundle's own baseline network where no baseline is given. A point is 0.01 of it.",
    )
    max_size_mib: _Positive | None = Field(None, description="Size of the ONNX file.")
    max_size_increase_percent: _Percent | None = Field(None, description="Growth of the ONNX file over the baseline.")
    max_miss_rate_percent: _Share | None = Field(
        None, description="Missed deadlines of inferences that arrive at measure.rate_hz; every run counts."
    )
    max_memory_mib: _Positive | None = Field(
        None, description="Peak memory of host and device together; every run counts."
    )
    max_build_s: _Positive | None = Field(None, description="Time to build the engine; the slowest of the runs counts.")

    @property
    def needs_baseline(self) -> tuple[str, ...]:
        """The limits set that are relative to the baseline."""
        return tuple(name for name in _AGAINST_BASELINE if getattr(self, name) is not None)


class Sequencing(Record):
    """The duration and error probability of a gate, and networks that may be missing."""

    max_runs: int = Field(24, ge=2, le=1_000, description="Maximum number of runs before INCONCLUSIVE.")
    budget_s: _Positive = Field(1_800.0, description="No run is started after this time, except to confirm a FAIL.")
    error: Annotated[Fraction, Field(gt=0, le=0.25)] = Field(
        0.01, description="Probability of an error in each direction; see gdws.gate.sequential."
    )
    allow_missing: list[Name] = Field(
        default_factory=list, description="Networks of the baseline that the candidate need not have."
    )


@dataclass(frozen=True)
class TimedLimit:
    """A limit on a figure that varies from run to run.

    ``sign`` is -1 if smaller is worse. ``unit`` is ``%`` for a limit relative to the baseline.
    """

    name: str
    measure: Measure
    words: str
    unit: str
    sign: Literal[1, -1] = 1

    @property
    def is_relative(self) -> bool:
        """Whether it is relative to the baseline."""
        return self.unit == "%"


TIMED_LIMITS = (
    TimedLimit("max_slowdown_percent", "latency", "latency", "%"),
    TimedLimit("max_p95_slowdown_percent", "p95", "95th percentile of the latency", "%"),
    TimedLimit("max_p99_slowdown_percent", "p99", "99th percentile of the latency", "%"),
    TimedLimit("max_energy_increase_percent", "energy", "energy of an inference", "%"),
    TimedLimit("max_latency_ms", "latency", "latency", "ms"),
    TimedLimit("max_p95_ms", "p95", "95th percentile of the latency", "ms"),
    TimedLimit("max_p99_ms", "p99", "99th percentile of the latency", "ms"),
    TimedLimit("min_fps", "fps", "throughput", "FPS", -1),
    TimedLimit("max_energy_mj", "energy", "energy of an inference", "mJ"),
)

_AGAINST_BASELINE = (
    *(limit.name for limit in TIMED_LIMITS if limit.is_relative),
    "max_natural_drop_points",
    "max_robust_drop_points",
    "max_size_increase_percent",
)
