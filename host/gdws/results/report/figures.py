"""What a report says, computed from stored results alone; how it looks is the renderers' business.

All values are plain data and pure functions of the results, so that HTML, Markdown, JSON and CSV
cannot differ in a figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from gdws_contract.attack_check import AttackCheck
from gdws_contract.attacks import AttackResult
from gdws_contract.findings.accuracy import AccuracyChange
from gdws_contract.findings.attacks import AttackFindings
from gdws_contract.findings.cells import CellFindings, Speed
from gdws_contract.findings.metrics import MetricFinding
from gdws_contract.findings.networks import NetworkFindings
from gdws_contract.findings.result import Findings, findings_of
from gdws_contract.findings.setting import Setting, distinct, settings_of, variants_of
from gdws_contract.manifest import Attack, Manifest, Tool, Variant, Verification
from gdws_contract.measures import (
    Build,
    DeviceLatency,
    Flag,
    LatencySummary,
    Parity,
    Power,
    Proportion,
    SpeedUp,
    Sustained,
)
from gdws_contract.memory import Memory
from gdws_contract.pacing import PacedResult
from gdws_contract.profiles import LayerProfile
from gdws_contract.rest import BenchmarkResult, Cell, DeviceInfo, Protocol
from gdws_contract.steps import LayerSummary
from gdws_contract.task import Task
from gdws_contract.thermal import Thermal


@dataclass(frozen=True)
class VariantFacts:
    """What the host knows of one network.

    Ratios are dense over this one, so more is better; they and the changes are None for the dense one itself.
    ``agreement`` is with the dense network's answers, where these are the labels. What is no classifier has ``metrics``
    in place of accuracies.
    """

    name: str
    is_baseline: bool
    method: str | None
    parameters: int | None
    macs: int | None
    onnx_bytes: int | None
    macs_ratio: float | None
    parameters_ratio: float | None
    natural: Proportion | None
    robust: Proportion | None
    agreement: Proportion | None
    attack: Attack | None
    evaluated_on: str | None
    natural_change: AccuracyChange | None
    robust_change: AccuracyChange | None
    attack_check: AttackCheck | None
    classes: int | None
    metrics: tuple[MetricFinding, ...]
    layers: tuple[LayerSummary, ...]

    @property
    def is_untrusted(self) -> bool:
        """Whether the attack that its robust accuracy was measured under is known to fail."""
        return self.attack_check is not None and not self.attack_check.trusted

    def metric(self, name: str) -> MetricFinding | None:
        """The metric called ``name``; None if it was not measured."""
        return next((each for each in self.metrics if each.name == name), None)

    @property
    def converted_layers(self) -> int:
        """How many of ``layers`` are GDWS convolutions."""
        return sum(layer.converted for layer in self.layers)


@dataclass(frozen=True)
class Measurement:
    """One variant in one setting on the device; without ``latency``, ``reason`` says why there is none.

    ``attack`` is what an attack on the engine found, ``attacked`` what that shows beside others.

    ``power_mode`` and ``jetson_clocks`` are what was in force, as far as it is known. ``speed`` is what ``speedup``
    shows; None for the dense network.
    """

    variant: str
    is_baseline: bool
    setting: Setting
    state: str
    reason: str | None
    latency: LatencySummary | None
    fps: float | None
    fps_low: float | None
    fps_high: float | None
    speedup: SpeedUp | None
    speed: Speed | None
    parity: Parity | None
    power: Power | None
    build: Build | None
    device_latency: DeviceLatency | None
    sustained: Sustained | None
    paced: PacedResult | None
    memory: Memory | None
    power_mode: str | None
    jetson_clocks: bool | None
    thermal: Thermal | None
    profile: LayerProfile | None
    attack: AttackResult | None
    attacked: AttackFindings | None
    flags: tuple[Flag, ...]
    simulated: bool


@dataclass(frozen=True)
class Circumstances:
    """How it was measured: what a reader needs to repeat it."""

    bundle_id: str
    bundle_tool: Tool
    job_id: str
    job_state: str
    label: str | None
    started_at: str | None
    finished_at: str | None
    saved_at: str
    device: DeviceInfo
    protocol: Protocol
    planned_threads: int | None
    runtimes: tuple[str, ...]
    engine_options: tuple[str, ...]
    environment: dict[str, str]
    scopes: tuple[str, ...]
    power_reasons: tuple[str, ...]
    power: str | None
    verification: Verification
    provenance: dict[str, object]


@dataclass(frozen=True)
class Facts:
    """Everything in one result. ``measurements`` run setting by setting, variants in the bundle's order."""

    name: str
    description: str | None
    task: Task
    baseline: str
    variants: tuple[VariantFacts, ...]
    settings: tuple[Setting, ...]
    measurements: tuple[Measurement, ...]
    circumstances: Circumstances
    partial: bool
    findings: Annotated[Findings, Field(exclude=True)]  # JSON has them as those of the summary

    def variant(self, name: str) -> VariantFacts:
        """The network called ``name``; raises :class:`KeyError`."""
        return {variant.name: variant for variant in self.variants}[name]

    @property
    def leading(self) -> tuple[MetricFinding, ...]:
        """The metrics that stand in place of accuracies, each as one of the networks has it; none of classifiers."""
        return tuple({each.name: each for variant in self.variants for each in variant.metrics if each.leads}.values())

    def at(self, setting: Setting) -> list[Measurement]:
        """The measurements of one setting, variants in the bundle's order."""
        return [measurement for measurement in self.measurements if measurement.setting == setting]


def facts(result: BenchmarkResult) -> Facts:
    """What ``result`` says, arranged for reading."""
    manifest, job = result.manifest, result.job
    found = findings_of(job, manifest, is_simulated=result.device.simulated, partial=result.partial)
    settings = settings_of(job)
    networks = {network.name: network for network in found.networks}
    cells = {cell.key: cell for cell in job.cells}
    of_cells = {cell.key: cell for cell in found.cells}
    of_attacks = {attack.key: attack for attack in found.attacks}
    return Facts(
        name=manifest.name,
        description=manifest.description,
        task=manifest.task,
        baseline=manifest.baseline,
        variants=tuple(_variant(variant, networks[variant.name], manifest) for variant in manifest.variants),
        settings=settings,
        measurements=tuple(
            _measurement(cells.get(key), of_cells[key], of_attacks.get(key), setting, result)
            for setting in settings
            for key in map(setting.cell, variants_of(job, manifest))
        ),
        circumstances=_circumstances(result),
        partial=result.partial,
        findings=found,
    )


def _variant(variant: Variant, network: NetworkFindings, manifest: Manifest) -> VariantFacts:
    own = variant.evaluation
    return VariantFacts(
        name=variant.name,
        is_baseline=variant.name == manifest.baseline,
        method=variant.method,
        parameters=variant.parameters,
        macs=variant.macs,
        onnx_bytes=manifest.members[variant.onnx].size,
        macs_ratio=network.macs_ratio,
        parameters_ratio=network.parameters_ratio,
        natural=network.natural,
        robust=network.robust,
        agreement=network.agreement,
        attack=own.attack if own else None,
        evaluated_on=own.data if own else None,
        natural_change=network.natural_change,
        robust_change=network.robust_change,
        attack_check=own.attack_check if own else None,
        classes=manifest.classes,
        metrics=network.metrics,
        layers=tuple(variant.layers),
    )


def _measurement(
    cell: Cell | None, found: CellFindings, attacked: AttackFindings | None, setting: Setting, result: BenchmarkResult
) -> Measurement:
    return Measurement(
        variant=found.key.variant,
        is_baseline=found.key.variant == result.manifest.baseline,
        setting=setting,
        state="not_measured" if cell is None else cell.state,
        reason=found.reason,
        latency=cell.latency if cell else None,
        fps=cell.fps if cell else None,
        fps_low=found.fps_low,
        fps_high=found.fps_high,
        speedup=cell.speedup if cell else None,
        speed=found.speed,
        parity=cell.parity if cell else None,
        power=cell.power if cell else None,
        build=cell.build if cell else None,
        device_latency=cell.device_latency if cell else None,
        sustained=cell.sustained if cell else None,
        paced=cell.paced if cell else None,
        memory=cell.memory if cell else None,
        power_mode=cell.power_mode if cell else None,
        jetson_clocks=cell.jetson_clocks if cell else None,
        thermal=cell.thermal if cell else None,
        profile=cell.profile if cell else None,
        attack=cell.attack if cell else None,
        attacked=attacked,
        flags=tuple(cell.flags) if cell else (),
        simulated=result.device.simulated or bool(cell and cell.simulated),
    )


def _circumstances(result: BenchmarkResult) -> Circumstances:
    job, manifest = result.job, result.manifest
    powers = [cell.power for cell in job.cells if cell.power is not None]
    builds = [cell.build for cell in job.cells if cell.build is not None]
    return Circumstances(
        bundle_id=job.request.model_id,
        bundle_tool=manifest.tool,
        job_id=job.id,
        job_state=job.state,
        label=job.request.label,
        started_at=job.started_at,
        finished_at=job.finished_at,
        saved_at=result.saved_at,
        device=result.device,
        protocol=job.request.protocol,
        planned_threads=manifest.threads,
        runtimes=distinct([_runtime(cell) for cell in job.cells]),
        engine_options=distinct([option for build in builds for option in build.options]),
        environment=_shared_environment(job.cells),
        scopes=distinct([cell.latency.scope for cell in job.cells if cell.latency is not None]),
        power_reasons=distinct([power.reason for power in powers if power.mean_w is None and power.reason]),
        power=_power_in_words(powers),
        verification=manifest.verification,
        provenance=manifest.provenance,
    )


def _power_in_words(powers: Sequence[Power]) -> str | None:
    """Which sensor gave figures, and why there are none where there are none."""
    sensors = distinct([f"sensor {power.sensor}" for power in powers if power.mean_w is not None])
    reasons = distinct([power.reason for power in powers if power.mean_w is None and power.reason])
    return "; ".join([*sensors, *reasons]) or None


def _runtime(cell: Cell) -> str:
    """The backend, with its version if the worker told it."""
    version = cell.environment.get("backend_version")
    return cell.key.backend if version is None else f"{cell.key.backend} {version}"


def _shared_environment(cells: Sequence[Cell]) -> dict[str, str]:
    """What the worker told of its surroundings, as far as it is known and was the same for every cell."""
    told: dict[str, set[str]] = {}
    for cell in cells:
        for name, value in cell.environment.items():
            told.setdefault(name, set()).add("" if value is None else str(value))
    return {name: min(values) for name, values in told.items() if len(values) == 1 and values != {""}}
