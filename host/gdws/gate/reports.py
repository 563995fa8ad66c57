"""The report of a gate: results of each device and the overall outcome."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from gdws.errors import ExitCode
from gdws.gate.figures import Run, log_figure
from gdws.gate.limits import MEASURES, Measure
from gdws.gate.verdicts import EXIT_CODES, Outcome, Verdict, overall
from gdws_contract.findings.intervals import IntervalEstimate, geometric_mean
from gdws_contract.findings.setting import Setting


@dataclass(frozen=True)
class Observed:
    """One figure of the candidate over all runs: geometric mean, and its 95 % interval where there are several runs."""

    network: str
    setting: Setting
    measure: Measure
    value: float
    interval: IntervalEstimate | None


@dataclass(frozen=True)
class DeviceReport:
    """One device. ``error`` says why it could not serve, or failed before the end; then ``outcome`` is None.

    ``notes`` qualify the verdicts. ``finished_runs`` are stored as ``run-N.json`` in ``folder``.
    """

    device: str
    url: str
    outcome: Outcome | None
    error: str | None
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    environment: dict[str, str | None]
    finished_runs: int
    duration_s: float
    observed: tuple[Observed, ...] = ()


@dataclass(frozen=True)
class GateReport:
    """All devices. ``candidate`` and ``baseline`` name what was compared; ``baseline`` is None if there was none."""

    candidate: str
    baseline: str | None
    started_at: str
    devices: tuple[DeviceReport, ...]

    @property
    def outcome(self) -> Outcome | None:
        """The outcome over all devices; None if none has FAIL but a device could not serve."""
        return overall_outcome(self.devices)

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 a device could not serve."""
        return ExitCode.UNAVAILABLE if self.outcome is None else EXIT_CODES[self.outcome]

    @property
    def word(self) -> str:
        """The outcome as a single word."""
        return self.outcome or "UNAVAILABLE"


def overall_outcome(devices: Sequence[DeviceReport]) -> Outcome | None:
    """FAIL if any device has it; otherwise None if a device could not serve; otherwise the worst."""
    known = [device.outcome for device in devices if device.outcome is not None]
    if "FAIL" in known or len(known) == len(devices):
        return overall(known)
    return None


def observe(runs: Sequence[Run]) -> tuple[Observed, ...]:
    """The candidate's figures over all runs; a measure that some run lacks is left out."""
    found = []
    for subject in runs[0].candidate if runs else ():
        for measure in MEASURES:
            logs = [log_figure(run.candidate.get(subject), measure) for run in runs]
            values = [math.exp(log) for log in logs if log is not None]
            if len(values) == len(runs):
                value, interval = statistics.geometric_mean(values), geometric_mean(values)
                found.append(Observed(subject.network, subject.setting, measure, value, interval))
    return tuple(found)
