"""The matrix of networks by devices, from stored results alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gdws.results.report.fleet.values import (
    Block,
    Case,
    Device,
    Entry,
    FleetMeasurement,
    Kind,
    Network,
    Quality,
    SetAside,
)
from gdws_contract.findings import networks
from gdws_contract.findings.cells import CellFindings
from gdws_contract.findings.environment import surroundings
from gdws_contract.findings.price import Judged, price_of, remark_of, why_no_price
from gdws_contract.findings.result import findings_of
from gdws_contract.findings.setting import Setting, distinct, settings_of, variants_of
from gdws_contract.manifest import Manifest
from gdws_contract.rest import BenchmarkResult, Cell, DeviceInfo

#: What a result's surroundings say of how it was asked to be measured.
_ASKED = ("protocol: ", "engine: ")
#: The order of variants within rounds changes no figure that is compared.
_IRRELEVANT = ("protocol: seed",)


def devices_of(measured: Sequence[FleetMeasurement], set_aside: Sequence[SetAside]) -> tuple[Device, ...]:
    """The devices, each once: kind by kind, then by name; those without results last."""
    reasons = {each.device: each.reason for each in set_aside}
    tags = {each.device: each.tags for each in measured} | {each.device: each.tags for each in set_aside}
    kinds = {each.device: kind_of(each.result.device) for each in measured}
    devices = [Device(name, tags[name], kinds.get(name), reasons.get(name)) for name in tags]
    return tuple(sorted(devices, key=lambda each: (each.kind is None, each.kind.words if each.kind else "", each.name)))


def kind_of(device: DeviceInfo) -> Kind:
    """The kind that ``device`` is of."""
    return Kind(
        model=device.board or device.cpu_model or device.machine,
        release=f"L4T {device.l4t}" if device.l4t else device.os,
        logical_cores=device.logical_cores,
        simulated=device.simulated,
    )


def matrix(measured: Sequence[FleetMeasurement], devices: Sequence[Device]) -> tuple[Block, ...]:
    """A block for each case that some device was asked to time, bundles by name, settings in their usual order.

    Of a cell that a device measured twice, a timed one counts, and of those the last.
    """
    timed = [each for each in measured if each.result.job.request.is_timed]
    conditions = _conditions([each.result for each in timed])
    found: dict[Case, dict[str, dict[str, Entry]]] = {}
    manifests: dict[str, Manifest] = {}
    for each, words in zip(timed, conditions, strict=True):
        manifest = each.result.manifest
        bundle_id = each.result.job.request.model_id
        manifests[bundle_id] = manifest
        for setting, entry in _entries(each):
            of_case = found.setdefault(Case(manifest.name, bundle_id, setting, words), {})
            row = of_case.setdefault(each.device, {})
            row[entry.network] = _better(row.get(entry.network), entry)
    cases = sorted(found, key=lambda case: (case.bundle, case.bundle_id, case.conditions, _order(case.setting)))
    return tuple(_block(case, found[case], manifests[case.bundle_id], devices) for case in cases)


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


def _better(earlier: Entry | None, later: Entry) -> Entry:
    if earlier is None or later.median_ms is not None or earlier.median_ms is None:
        return later
    return earlier


def _block(
    case: Case, found: Mapping[str, Mapping[str, Entry]], manifest: Manifest, devices: Sequence[Device]
) -> Block:
    asked = {name for row in found.values() for name in row}
    shown = tuple(each for each in networks_of(manifest) if each.name in asked)
    rows = tuple(
        tuple(found.get(device.name, {}).get(network.name) or _absent(device, network.name) for network in shown)
        for device in devices
    )
    return Block(case, shown, rows)


def _absent(device: Device, network: str) -> Entry:
    reason = "this device was not asked for it" if device.set_aside is None else f"set aside: {device.set_aside}"
    return Entry(device.name, network, "not_measured", reason)


def networks_of(manifest: Manifest) -> tuple[Network, ...]:
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


def _conditions(results: Sequence[BenchmarkResult]) -> list[tuple[str, ...]]:
    """Of each result in words, how it was asked to be measured, as far as not all were asked alike."""
    asked = [
        {
            name.partition(": ")[2]: value or "as usual"
            for name, value in surroundings(result).items()
            if name.startswith(_ASKED) and name not in _IRRELEVANT
        }
        for result in results
    ]
    names = distinct(name for each in asked for name in each)
    differing = [name for name in names if len({each.get(name) for each in asked}) > 1]
    return [tuple(f"{name} {each.get(name, 'as usual')}" for name in differing) for each in asked]


def _order(setting: Setting) -> tuple[str, str, str, int]:
    return str(setting.power_mode or ""), setting.backend, setting.precision, setting.batch_size
