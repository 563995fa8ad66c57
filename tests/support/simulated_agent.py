"""A device whose times follow from what is in a bundle, behind the function that measures on an agent.

Times are a law of MACs and layouts, so that searches are tested without clocks. Jobs are kept by their idempotency key,
as an agent keeps them: what is asked again was measured before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gdws.pipeline.optimize.setting import CONFIRMING_BUILDS
from gdws.results.stored import save_result
from gdws_contract.archive import open_bundle
from gdws_contract.manifest import Variant
from gdws_contract.measures import Flag, Interval
from gdws_contract.problems import Problem, problem_type
from gdws_contract.profiles import LayerProfile, LayerTime
from gdws_contract.rest import (
    Availability,
    BenchmarkRequest,
    BenchmarkResult,
    Cell,
    DeviceInfo,
    Job,
    PowerMode,
    Progress,
)
from support import benchmark_results, latency_law
from support.benchmark_results import Net


class SimulatedAgent:
    """``measured`` has the variants of each job that was run, in order; ``on_job`` may interrupt before a job is kept.

    ``disturbed`` jobs come back as throttled, and of ``lacking`` jobs the last network without energy. The speed-ups of
    the first deciding jobs are too small by the shares ``unsteady``, and known to as much. ``energy_per_ms`` gives the
    cells of timed networks energy.
    Networks in INT8 take ``int8_pace`` of their time, converted and dense, ten times that if a layer is grouped, and
    ``mixed_pace`` of that where layers stay in floating point.
    ``threads_pace`` has factors of the times of converted networks and of the dense one by number of threads.
    ``modes`` are power modes: the factor of all times, the power of a running network and at rest in watts; a mode of
    None needs a reboot.
    """

    url = "http://simulated"

    def __init__(
        self,
        *,
        has_profiles: bool = True,
        disturbed: int = 0,
        lacking: int = 0,
        unsteady: Sequence[float] = (),
        energy_per_ms: float | None = None,
        int8_pace: tuple[float, float] = (1.0, 1.0),
        mixed_pace: float = 1.1,
        threads_pace: Mapping[int | None, tuple[float, float]] | None = None,
        modes: Mapping[PowerMode, tuple[float, float, float] | None] | None = None,
    ) -> None:
        self.measured: list[tuple[str, ...]] = []
        self.on_job: Callable[[], None] = lambda: None
        self._jobs: dict[str, BenchmarkResult] = {}
        self._has_profiles, self._disturbed, self._energy = has_profiles, disturbed, energy_per_ms
        self._lacking, self._unsteady = lacking, list(unsteady)
        self._int8_pace, self._mixed_pace = int8_pace, mixed_pace
        self._paces = threads_pace or {}
        self._modes = modes or {}

    def device(self) -> DeviceInfo:
        sensors = [Availability(name="law", available=True)] if self._energy is not None or self._modes else []
        found = benchmark_results.device()
        return found.model_copy(update={"power_sensors": [*found.power_sensors, *sensors]})

    def benchmark(
        self, device: object, bundle: Path, request: BenchmarkRequest, *, out: Path, key: str, **_: Any
    ) -> BenchmarkResult:
        """As :func:`gdws.device.benchmark.benchmark`."""
        if key not in self._jobs:
            self._jobs[key] = self._run(bundle, request)
            self.on_job()
        save_result(self._jobs[key], out)
        return self._jobs[key]

    def _run(self, bundle: Path, request: BenchmarkRequest) -> BenchmarkResult:
        with open_bundle(bundle) as opened:
            manifest = opened.manifest
        self.measured.append(tuple(variant.name for variant in manifest.variants))
        shapes = {layer.name: layer.macs_before or 0 for variant in manifest.variants for layer in variant.layers}
        mode = None if request.power_modes is None else request.power_modes[0]
        if mode is not None and self._modes[mode] is None:
            cells = [_refused(each.name, mode) for each in manifest.variants]
        elif request.profile is not None:
            cells = [self._profiled(each, shapes) for each in manifest.variants]
        else:
            flags = (Flag(code="throttled", detail="hot"),) if self._disturbed > 0 else ()
            self._disturbed -= 1
            converted, dense = self._paces.get(request.protocol.threads, (1.0, 1.0))
            nets = [
                Net(each.name, median_ms=self._latency_ms(each, shapes) * (converted if each.layers else dense))
                for each in manifest.variants
            ]
            cells = [self._timed(net, nets[0], flags, mode) for net in nets]
            if self._lacking > 0 and len(cells) > 1:
                self._lacking -= 1
                cells[-1] = _without_energy(cells[-1])
            if self._unsteady and request.engine.builds == CONFIRMING_BUILDS:
                share = self._unsteady.pop(0)
                cells = [_unsteady(cell, share) for cell in cells]
        job = Job(
            id="job",
            state="done",
            request=request,
            created_at="2026-01-02T03:04:00Z",
            progress=Progress(cells_total=len(cells), cells_finished=len(cells)),
            cells=cells,
        )
        return BenchmarkResult(job=job, device=self.device(), manifest=manifest, saved_at="2026-01-02T03:05:00Z")

    def _latency_ms(self, variant: Variant, macs: dict[str, int]) -> float:
        found = latency_law.latency_ms(variant.name, macs, _converted(variant))
        if not variant.is_quantised:
            return found
        is_slow = any(layer.layout == "grouped" for layer in variant.layers)
        converted, dense = self._int8_pace
        mixed = self._mixed_pace if variant.steps[-1].skipped else 1.0
        return found * (converted if variant.layers else dense) * (10 if is_slow else 1) * mixed

    def _timed(self, net: Net, dense: Net, flags: tuple[Flag, ...], mode: PowerMode | None) -> Cell:
        state = self._modes.get(mode) if mode is not None else None
        pace, watts, idle_w = state or (1.0, self._energy, None)
        slowed = replace(net, median_ms=pace * net.median_ms)
        cell = benchmark_results.cell(slowed, replace(dense, median_ms=pace * dense.median_ms), 1, flags=flags)
        if net is dense:
            cell = cell.model_copy(update={"speedup": None})
        cell = cell.model_copy(update={"power_mode": mode})
        if watts is None:
            return cell
        energy_mj = watts * slowed.median_ms
        figures = {
            "energy_per_inference_mj": energy_mj,
            "energy_interval": Interval(low=0.99 * energy_mj, high=1.01 * energy_mj, method="a law"),
            "idle_w": idle_w,
        }
        return cell.model_copy(update={"power": cell.power.model_copy(update=figures)})

    def _profiled(self, variant: Variant, macs: dict[str, int]) -> Cell:
        cell = benchmark_results.profiled_cell(Net(variant.name))
        if not self._has_profiles:
            problem = Problem(type=problem_type("profile-unsupported"), title="cannot", status=422)
            return cell.model_copy(update={"state": "failed", "profile": None, "error": problem})
        rows = [
            LayerTime(name=f"{name}/Conv", source=name, mean_ms=mean_ms, share=0.0)
            for name, mean_ms in latency_law.profile_rows(macs, _converted(variant))
        ]
        profile = LayerProfile(tool="a law", iterations=50, total_ms=sum(row.mean_ms for row in rows), layers=rows)
        return cell.model_copy(update={"profile": profile})


def _without_energy(cell: Cell) -> Cell:
    """``cell`` with a power that too few readings fell into."""
    figures = {"energy_per_inference_mj": None, "energy_interval": None}
    return cell.model_copy(update={"power": cell.power.model_copy(update=figures)})


def _unsteady(cell: Cell, share: float) -> Cell:
    """``cell`` with a speed-up that is too small by a share, and known to that share."""
    if cell.speedup is None or cell.speedup.ratio is None:
        return cell
    ratio = cell.speedup.ratio / (1 + share)
    interval = Interval(low=ratio * max(0.0, 1 - share), high=ratio * (1 + share), method="a law")
    return cell.model_copy(update={"speedup": cell.speedup.model_copy(update={"ratio": ratio, "interval": interval})})


def _refused(name: str, mode: PowerMode) -> Cell:
    problem = Problem(
        type=problem_type("power-mode-needs-reboot"),
        title="Power mode needs reboot",
        status=409,
        detail=f"the board must reboot to enter power mode {mode}",
    )
    cell = benchmark_results.profiled_cell(Net(name))
    return cell.model_copy(update={"state": "failed", "profile": None, "error": problem})


def _converted(variant: Variant) -> dict[str, tuple[str | None, int]]:
    return {layer.name: (layer.layout, layer.macs_after or 0) for layer in variant.layers if layer.converted}
