"""Converts the findings of a sweep about one cell into the reported cell. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from gdws_agent.backends.base import DeviceTimes
from gdws_agent.errors import AgentError, OutOfMemory, make_problem, problem_of
from gdws_agent.power import thermal
from gdws_agent.power.base import Account
from gdws_agent.stats import paired_speedup, summarise
from gdws_agent.timestamps import utc_now
from gdws_contract.attacks import AttackResult
from gdws_contract.errors import ContractError
from gdws_contract.measures import Build, Flag, Parity, SpeedUp, Sustained
from gdws_contract.memory import Memory
from gdws_contract.pacing import PacedResult
from gdws_contract.problems import Problem
from gdws_contract.profiles import LayerProfile
from gdws_contract.rest import Cell, CellKey, CellState
from gdws_contract.series import Series

from . import device_times
from .arrivals import Log
from .environment import Activity
from .flags import latency_flags, machine_flags
from .messages import WorkOrder
from .windows import WarmUp, Window


@dataclass
class Findings:
    """The findings on one cell so far; None or empty if a stage was not reached.

    ``conditions`` are the machine's after each of ``windows``. ``flags`` are doubts that a stage itself raised.
    """

    key: CellKey
    started_at: str
    environment: Dict[str, Any]
    power_mode: Optional[str] = None
    jetson_clocks: Optional[bool] = None
    build: Optional[Build] = None
    scope: str = ""
    parity: Optional[Parity] = None
    warm_up: Optional[WarmUp] = None
    windows: List[Window] = field(default_factory=list)
    conditions: List[thermal.Conditions] = field(default_factory=list)
    device_times: List[DeviceTimes] = field(default_factory=list)
    memory: Optional[Memory] = None
    paced: Optional[PacedResult] = None
    paced_log: Optional[Log] = None
    sustained: Optional[Sustained] = None
    series: Optional[Series] = None
    flags: List[Flag] = field(default_factory=list)

    @classmethod
    def begin(cls, order: WorkOrder, variant: str, environment: Dict[str, Any]) -> Findings:
        """Return the initial findings on the cell of ``variant``."""
        return cls(order.cell(variant), utc_now(), environment, order.power_mode_name, order.jetson_clocks)

    @property
    def samples_ms(self) -> List[float]:
        """Every measured time, in order."""
        return [sample / 1e6 for window in self.windows for sample in window.samples_ns]

    @property
    def medians_ms(self) -> List[float]:
        """The median of each window."""
        return [window.median_ms for window in self.windows]


def failed_cell(findings: Findings, error: Exception, finished_at: str) -> Cell:
    """Return the cell of a variant that failed with ``error``, with the findings so far."""
    return _cell(findings, "failed", finished_at, error=problem_with(error))


def parity_failed_cell(findings: Findings, finished_at: str) -> Cell:
    """Return the cell of a variant that is not to be timed."""
    return _cell(findings, "parity_failed", finished_at)


def profiled_cell(findings: Findings, profile: LayerProfile, finished_at: str) -> Cell:
    """Return the cell of a variant whose layers were timed instead of the whole network."""
    return _cell(findings, "done", finished_at, profile=profile, flags=findings.flags)


def attacked_cell(findings: Findings, attack: AttackResult, finished_at: str) -> Cell:
    """Return the cell of a variant whose engine was attacked in place of being timed."""
    return _cell(findings, "done", finished_at, attack=attack, flags=findings.flags)


def measured_cell(
    findings: Findings,
    baseline: Optional[Findings],
    baseline_name: str,
    account: Account,
    activity: Activity,
    finished_at: str,
) -> Cell:
    """Return the cell of a variant that ran in every round; ``baseline`` is None when that one did not."""
    assert findings.warm_up is not None
    samples_ms = findings.samples_ms
    latency = summarise(samples_ms, findings.scope)
    flags = [
        *latency_flags(samples_ms, findings.medians_ms, findings.warm_up),
        *machine_flags(activity),
        *thermal.thermal_flags(findings.conditions),
        *findings.flags,
    ]
    speedup = None
    if findings.key.variant != baseline_name:
        speedup = _speedup(findings, baseline)
        flags += _baseline_flags(baseline, baseline_name)
    return _cell(
        findings,
        "done",
        finished_at,
        latency=latency,
        fps=findings.key.batch_size / latency.mean_ms * 1e3 if latency.mean_ms > 0 else None,
        rounds=[window.summary(index) for index, window in enumerate(findings.windows)],
        speedup=speedup,
        device_latency=device_times.summarise(findings.device_times),
        paced=findings.paced,
        sustained=findings.sustained,
        series=findings.series,
        power=account.power,
        thermal=thermal.summarise(findings.conditions),
        flags=[*flags, *account.flags],
        environment={**findings.environment, **activity._asdict()},
    )


def problem_with(error: Exception) -> Problem:
    """Return the problem document of what ended a cell.

    Unlike elsewhere, the text of an error that nobody foresaw is told: it speaks of the client's own model.
    """
    if isinstance(error, (AgentError, ContractError)):
        return problem_of(error)
    if isinstance(error, MemoryError):
        return problem_with(OutOfMemory(str(error) or "there is not enough memory", hint="use a smaller batch"))
    return make_problem(500, "internal-error", f"{type(error).__name__}: {error}")


def _speedup(findings: Findings, baseline: Optional[Findings]) -> Optional[SpeedUp]:
    if baseline is None:
        return None
    return paired_speedup(baseline.medians_ms, findings.medians_ms, baseline.key.variant)


def _baseline_flags(baseline: Optional[Findings], name: str) -> List[Flag]:
    if baseline is not None:
        return []
    return [Flag(code="no-baseline", detail=f"no speed-up: the baseline {name!r} was not measured with this variant")]


def _cell(findings: Findings, state: CellState, finished_at: str, **measured: Any) -> Cell:
    known = {
        "started_at": findings.started_at,
        "build": findings.build,
        "parity": findings.parity,
        "memory": findings.memory,
        "power_mode": findings.power_mode,
        "jetson_clocks": findings.jetson_clocks,
        "environment": findings.environment,
    }
    return Cell(key=findings.key, state=state, finished_at=finished_at, **{**known, **measured})
