"""From one stored result to the figures that the report needs of it, so that results are read one at a time."""

from __future__ import annotations

from collections.abc import Iterable

from gdws.results.report.fleet.values import Entry, FleetMeasurement, Kind, Network, Quality, ResultSummary
from gdws_contract.findings import networks
from gdws_contract.findings.cells import CellFindings
from gdws_contract.findings.environment import surroundings
from gdws_contract.findings.price import Judged, price_of, remark_of, why_no_price
from gdws_contract.findings.result import findings_of
from gdws_contract.findings.setting import Setting, settings_of, variants_of
from gdws_contract.manifest import Manifest
from gdws_contract.rest import Cell, DeviceInfo


def summary_of(measured: FleetMeasurement) -> ResultSummary:
    """What the report says of one result, which is not referred to any more."""
    result = measured.result
    is_timed = result.job.request.is_timed
    return ResultSummary(
        device=measured.device,
        tags=measured.tags,
        kind=_kind_of(result.device),
        is_timed=is_timed,
        bundle=result.manifest.name,
        bundle_id=result.job.request.model_id,
        networks=_networks_of(result.manifest) if is_timed else (),
        surroundings=surroundings(result) if is_timed else {},
        entries=tuple(_entries(measured)) if is_timed else (),
    )


def _kind_of(device: DeviceInfo) -> Kind:
    return Kind(
        model=device.board or device.cpu_model or device.machine,
        release=f"L4T {device.l4t}" if device.l4t else device.os,
        logical_cores=device.logical_cores,
        simulated=device.simulated,
    )


def _entries(measured: FleetMeasurement) -> Iterable[tuple[Setting, Entry]]:
    """An entry for each cell that was asked for or measured."""
    result = measured.result
    found = findings_of(result.job, result.manifest, is_simulated=result.device.simulated, partial=result.partial)
    cells = {cell.key: cell for cell in result.job.cells}
    of_cells = {cell.key: cell for cell in found.cells}
    for setting in settings_of(result.job):
        for key in map(setting.cell, variants_of(result.job, result.manifest)):
            yield setting, _entry(measured, cells.get(key), of_cells[key])


def _entry(measured: FleetMeasurement, cell: Cell | None, found: CellFindings) -> Entry:
    if cell is None:
        return Entry(measured.device, found.key.variant, "not_measured", found.reason)
    power, parity, speedup = cell.power, cell.parity, cell.speedup
    return Entry(
        device=measured.device,
        network=cell.key.variant,
        state=cell.state,
        reason=found.reason,
        median_ms=cell.latency.median_ms if cell.latency else None,
        rounds_ms=tuple(window.median_ms for window in cell.rounds),
        fps=cell.fps,
        speedup=speedup.ratio if speedup else None,
        speedup_interval=speedup.interval if speedup else None,
        speed=found.speed,
        energy_mj=power.energy_per_inference_mj if power else None,
        energy_interval=power.energy_interval if power else None,
        energy_reason=power.reason if power else None,
        total_peak_bytes=cell.memory.total_peak_bytes if cell.memory else None,
        parity_passed=parity.passed if parity else None,
        natural=parity.natural.value if parity and parity.natural else None,
        robust=parity.robust.value if parity and parity.robust else None,
        power_mode=cell.power_mode,
        jetson_clocks=cell.jetson_clocks,
        flags=tuple(cell.flags),
        simulated=measured.result.device.simulated or cell.simulated,
    )


def _networks_of(manifest: Manifest) -> tuple[Network, ...]:
    """The networks of a bundle in its order, each with what the host found of its accuracy."""
    found = {each.name: each for each in networks.networks_of(manifest)}
    judged = {
        variant.name: Judged(variant.name, None, None, variant.evaluation, found[variant.name])
        for variant in manifest.variants
    }
    baseline = judged[manifest.baseline]
    return tuple(Network(name, name == manifest.baseline, *_quality(own, baseline)) for name, own in judged.items())


def _quality(own: Judged, baseline: Judged) -> tuple[Quality, str]:
    if own.variant == baseline.variant:
        return "baseline", "the others are compared with it"
    price = price_of(own, baseline)
    if price is not None:
        return ("kept" if price.is_kept else "at a price"), str(price)
    remark = remark_of(own, baseline)
    if remark is None:
        return "not shown", why_no_price(baseline, own)
    if remark.kept is None:
        return "not judged", remark.words
    return ("agreement" if remark.kept else "changed"), remark.words
