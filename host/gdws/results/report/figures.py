"""What a report says, computed from stored results alone; how it looks is the renderers' business.

All values are plain data and pure functions of the results, so that HTML, Markdown, JSON and CSV
cannot differ in a figure.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from gdws_contract.attack_check import AttackCheck
from gdws_contract.findings.accuracy import AccuracyChange, accuracy_change
from gdws_contract.manifest import Attack, HostEvaluation, Manifest, Tool, Variant, Verification
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
from gdws_contract.profiles import LayerProfile
from gdws_contract.rest import BenchmarkResult, Cell, CellKey, DeviceInfo, Job, PowerMode, Protocol
from gdws_contract.steps import LayerSummary
from gdws_contract.thermal import Thermal

_T = TypeVar("_T", bound=Hashable)


@dataclass(frozen=True)
class Setting:
    """What is equal among the cells that are compared."""

    backend: str
    precision: str
    batch_size: int
    power_mode: PowerMode | None = None

    def cell(self, variant: str) -> CellKey:
        """The key of ``variant``'s cell."""
        return CellKey(
            variant=variant,
            backend=self.backend,
            precision=self.precision,
            batch_size=self.batch_size,
            power_mode=self.power_mode,
        )

    @property
    def mode(self) -> str | None:
        """The power mode that was asked for: its name, or its number in words."""
        return f"power mode {self.power_mode}" if isinstance(self.power_mode, int) else self.power_mode

    @property
    def words(self) -> tuple[str, ...]:
        """Batch size, backend and precision, and the power mode where one was asked for."""
        words = (f"batch {self.batch_size}", self.backend, self.precision)
        return words if self.mode is None else (*words, self.mode)


@dataclass(frozen=True)
class VariantFacts:
    """What the host knows of one network.

    Ratios are dense over this one, so more is better; they and the changes are None for the dense one itself.
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
    attack: Attack | None
    evaluated_on: str | None
    natural_change: AccuracyChange | None
    robust_change: AccuracyChange | None
    attack_check: AttackCheck | None
    classes: int | None
    layers: tuple[LayerSummary, ...]

    @property
    def is_untrusted(self) -> bool:
        """Whether the attack that its robust accuracy was measured under is known to fail."""
        return _fails(self.attack_check)

    @property
    def converted_layers(self) -> int:
        """How many of ``layers`` are GDWS convolutions."""
        return sum(layer.converted for layer in self.layers)


@dataclass(frozen=True)
class Measurement:
    """One variant in one setting on the device; without ``latency``, ``reason`` says why there is none.

    ``power_mode`` and ``jetson_clocks`` are what was in force, as far as it is known.
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
    parity: Parity | None
    power: Power | None
    build: Build | None
    device_latency: DeviceLatency | None
    sustained: Sustained | None
    power_mode: str | None
    jetson_clocks: bool | None
    thermal: Thermal | None
    profile: LayerProfile | None
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
    baseline: str
    variants: tuple[VariantFacts, ...]
    settings: tuple[Setting, ...]
    measurements: tuple[Measurement, ...]
    circumstances: Circumstances
    partial: bool

    def variant(self, name: str) -> VariantFacts:
        """The network called ``name``; raises :class:`KeyError`."""
        return {variant.name: variant for variant in self.variants}[name]

    def at(self, setting: Setting) -> list[Measurement]:
        """The measurements of one setting, variants in the bundle's order."""
        return [measurement for measurement in self.measurements if measurement.setting == setting]


def facts(result: BenchmarkResult) -> Facts:
    """What ``result`` says, arranged for reading."""
    manifest, job = result.manifest, result.job
    settings = _settings(job)
    cells = {cell.key: cell for cell in job.cells}
    return Facts(
        name=manifest.name,
        description=manifest.description,
        baseline=manifest.baseline,
        variants=tuple(_variant(variant, manifest) for variant in manifest.variants),
        settings=settings,
        measurements=tuple(
            _measurement(cells.get(setting.cell(name)), name, setting, result)
            for setting in settings
            for name in _requested(job, manifest)
        ),
        circumstances=_circumstances(result),
        partial=result.partial,
    )


def _settings(job: Job) -> tuple[Setting, ...]:
    """The settings of the cells and those asked for: modes, backends and precisions as asked, batches rising."""
    cells = [cell.key for cell in job.cells]
    asked_modes: list[PowerMode | None] = [None] if job.request.power_modes is None else [*job.request.power_modes]
    modes = _distinct([*asked_modes, *(key.power_mode for key in cells)])
    backends = _distinct([*(job.request.backends or []), *(key.backend for key in cells)])
    precisions = _distinct([*job.request.precisions, *(key.precision for key in cells)])
    batches = sorted({*job.request.batch_sizes, *(key.batch_size for key in cells)})
    return tuple(Setting(b, p, n, mode) for mode, b, p, n in product(modes, backends, precisions, batches))


def _requested(job: Job, manifest: Manifest) -> list[str]:
    """The variants asked for or measured, in the bundle's order."""
    names = [variant.name for variant in manifest.variants]
    if job.request.variants is None:
        return names
    wanted = {*job.request.variants, *(cell.key.variant for cell in job.cells)}
    return [name for name in names if name in wanted]


def _variant(variant: Variant, manifest: Manifest) -> VariantFacts:
    baseline = manifest.variant(manifest.baseline)
    own, reference = variant.evaluation, baseline.evaluation
    is_baseline = variant is baseline
    return VariantFacts(
        name=variant.name,
        is_baseline=is_baseline,
        method=variant.method,
        parameters=variant.parameters,
        macs=variant.macs,
        onnx_bytes=manifest.members[variant.onnx].size,
        macs_ratio=None if is_baseline else _ratio(baseline.macs, variant.macs),
        parameters_ratio=None if is_baseline else _ratio(baseline.parameters, variant.parameters),
        natural=own.natural if own else None,
        robust=own.robust if own else None,
        attack=own.attack if own else None,
        evaluated_on=own.data if own else None,
        natural_change=None if is_baseline else _change(reference, own, "natural"),
        robust_change=None if is_baseline else _change(reference, own, "robust"),
        attack_check=own.attack_check if own else None,
        classes=manifest.classes,
        layers=tuple(variant.layers),
    )


def _change(baseline: HostEvaluation | None, variant: HostEvaluation | None, kind: str) -> AccuracyChange | None:
    """The change of one accuracy, if both were measured on the same images under one attack that did not fail."""
    if baseline is None or variant is None or baseline.data != variant.data:
        return None
    before: Proportion | None = getattr(baseline, kind)
    after: Proportion | None = getattr(variant, kind)
    if before is None or after is None or before.count != after.count:
        return None
    if kind == "robust" and baseline.attack != variant.attack:
        return None
    if kind == "robust" and (_fails(baseline.attack_check) or _fails(variant.attack_check)):
        return None
    return accuracy_change(before, after)


def _fails(check: AttackCheck | None) -> bool:
    return check is not None and not check.trusted


def _measurement(cell: Cell | None, variant: str, setting: Setting, result: BenchmarkResult) -> Measurement:
    low, high = _fps_range(cell)
    return Measurement(
        variant=variant,
        is_baseline=variant == result.manifest.baseline,
        setting=setting,
        state="not_measured" if cell is None else cell.state,
        reason=_reason(cell, result),
        latency=cell.latency if cell else None,
        fps=cell.fps if cell else None,
        fps_low=low,
        fps_high=high,
        speedup=cell.speedup if cell else None,
        parity=cell.parity if cell else None,
        power=cell.power if cell else None,
        build=cell.build if cell else None,
        device_latency=cell.device_latency if cell else None,
        sustained=cell.sustained if cell else None,
        power_mode=cell.power_mode if cell else None,
        jetson_clocks=cell.jetson_clocks if cell else None,
        thermal=cell.thermal if cell else None,
        profile=cell.profile if cell else None,
        flags=tuple(cell.flags) if cell else (),
        simulated=result.device.simulated or bool(cell and cell.simulated),
    )


def _reason(cell: Cell | None, result: BenchmarkResult) -> str | None:
    """Why a cell has no times; None if it has."""
    if cell is None:
        if result.job.error is not None:
            return f"the job failed first: {result.job.error.detail or result.job.error.title}"
        if result.partial:
            return "the run was stopped first"
        return "the agent sent no result" if result.job.state == "done" else f"the job was {result.job.state} first"
    if cell.latency is not None:
        return None
    if cell.profile is not None:
        return "its layers were timed in place of the whole"
    if cell.error is not None:
        return cell.error.detail or cell.error.title
    if cell.parity is not None and not cell.parity.passed:
        return "; ".join(cell.parity.reasons) or "the device's answers are not the host's"
    return f"the cell is {cell.state.replace('_', ' ')}, without a reason"


def _fps_range(cell: Cell | None) -> tuple[float | None, float | None]:
    """Images per second in the slowest and the fastest round, by their medians."""
    if cell is None:
        return None, None
    rates = [1000 * cell.key.batch_size / window.median_ms for window in cell.rounds if window.median_ms > 0]
    rates = [rate for rate in rates if math.isfinite(rate)]
    return (min(rates), max(rates)) if rates else (None, None)


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
        runtimes=_distinct([_runtime(cell) for cell in job.cells]),
        engine_options=_distinct([option for build in builds for option in build.options]),
        environment=_shared_environment(job.cells),
        scopes=_distinct([cell.latency.scope for cell in job.cells if cell.latency is not None]),
        power_reasons=_distinct([power.reason for power in powers if power.mean_w is None and power.reason]),
        power=_power_in_words(powers),
        verification=manifest.verification,
        provenance=manifest.provenance,
    )


def _power_in_words(powers: Sequence[Power]) -> str | None:
    """Which sensor gave figures, and why there are none where there are none."""
    sensors = _distinct([f"sensor {power.sensor}" for power in powers if power.mean_w is not None])
    reasons = _distinct([power.reason for power in powers if power.mean_w is None and power.reason])
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


def _ratio(before: int | None, after: int | None) -> float | None:
    return before / after if before is not None and after else None


def _distinct(values: Iterable[_T]) -> tuple[_T, ...]:
    """Each value once, in order of first appearance."""
    return tuple(dict.fromkeys(values))
