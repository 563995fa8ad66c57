"""What a gate allows. Plain data, from the command line or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field

from gdws_contract.base import Fraction, Name, Record

_Percent = Annotated[float, Field(ge=0, le=1_000, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

#: Of a metric, as the manifest of a bundle has it.
MetricName = Annotated[str, Field(min_length=1, max_length=200)]

#: What one run tells of one network in one setting, as a positive figure; see :mod:`gdws.gate.figures`.
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
        None, description="Fall of the natural accuracy on the device against the baseline, in percentage points."
    )
    max_robust_drop_points: _Share | None = Field(
        None, description="Fall of the accuracy on the replayed adversarial inputs against the baseline, in points."
    )
    min_natural_percent: _Share | None = Field(None, description="Natural accuracy on the device.")
    min_robust_percent: _Share | None = Field(None, description="Accuracy on the replayed adversarial inputs.")
    max_drop_points: dict[MetricName, _Share] = Field(
        default_factory=dict,
        description="Fall of a metric that the host measured, by its name, e.g. detections_kept: against the "
        "baseline's, or the bundle's own baseline network where no baseline is given. A point is 0.01 of it.",
    )
    max_size_mib: _Positive | None = Field(None, description="Size of the ONNX file.")
    max_size_increase_percent: _Percent | None = Field(None, description="Its growth against the baseline.")
    max_miss_rate_percent: _Share | None = Field(
        None, description="Deadlines missed, of inferences that arrive at measure.rate_hz; every run counts."
    )
    max_memory_mib: _Positive | None = Field(
        None, description="Peak memory of host and device together; every run counts."
    )
    max_build_s: _Positive | None = Field(None, description="Time to build the engine; the slowest of the runs counts.")

    @property
    def needs_baseline(self) -> tuple[str, ...]:
        """The limits that are set and are against the baseline."""
        return tuple(name for name in _AGAINST_BASELINE if getattr(self, name) is not None)


class Sequencing(Record):
    """How long a gate may take, how sure it is, and what it may leave unseen."""

    max_runs: int = Field(24, ge=2, le=1_000, description="Runs before a gate says INCONCLUSIVE.")
    budget_s: _Positive = Field(1_800.0, description="No run is begun after this time, but those that confirm.")
    error: Annotated[Fraction, Field(gt=0, le=0.25)] = Field(
        0.01, description="Probability of an error in each direction; see gdws.gate.sequential."
    )
    allow_missing: list[Name] = Field(
        default_factory=list, description="Networks of the baseline that the candidate need not have."
    )


@dataclass(frozen=True)
class TimedLimit:
    """A limit on a figure that differs from run to run.

    ``sign`` is -1 where less is worse. ``unit`` is ``%`` for one against the baseline.
    """

    name: str
    measure: Measure
    words: str
    unit: str
    sign: Literal[1, -1] = 1

    @property
    def is_relative(self) -> bool:
        """Whether it is against the baseline."""
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
