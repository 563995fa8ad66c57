"""The matrix of networks by devices, from stored results alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gdws.results.report.fleet.values import Block, Case, Device, Entry, Network, ResultSummary, SetAside
from gdws_contract.findings.setting import Setting, distinct

#: What a result's surroundings say of how it was asked to be measured.
_ASKED = ("protocol: ", "engine: ")
#: The order of variants within rounds changes no figure that is compared.
_IRRELEVANT = ("protocol: seed",)


def devices_of(measured: Sequence[ResultSummary], set_aside: Sequence[SetAside]) -> tuple[Device, ...]:
    """The devices, each once: kind by kind, then by name; those without results last."""
    aside = {each.device: each for each in set_aside if each.job is None}
    left_out: dict[str, tuple[str, ...]] = {}
    for each in set_aside:
        if each.job is not None:
            left_out[each.device] = (*left_out.get(each.device, ()), f"{each.job}: {each.reason}")
    tags = {each.device: each.tags for each in measured} | {each.device: each.tags for each in set_aside}
    kinds = {each.device: each.kind for each in measured}
    devices = [
        Device(
            name,
            tags[name],
            kinds.get(name),
            aside[name].reason if name in aside else None,
            left_out.get(name, ()),
            name in aside and aside[name].is_retried,
        )
        for name in tags
    ]
    return tuple(sorted(devices, key=lambda each: (each.kind is None, each.kind.words if each.kind else "", each.name)))


def matrix(measured: Sequence[ResultSummary], devices: Sequence[Device]) -> tuple[Block, ...]:
    """A block for each case that some device was asked to time, bundles by name, settings in their usual order.

    Of a cell that a device measured twice, a timed one counts, and of those the last.
    """
    timed = [each for each in measured if each.is_timed]
    conditions = _conditions(timed)
    found: dict[Case, dict[str, dict[str, Entry]]] = {}
    networks: dict[str, tuple[Network, ...]] = {}
    for each, words in zip(timed, conditions, strict=True):
        networks[each.bundle_id] = each.networks
        for setting, entry in each.entries:
            of_case = found.setdefault(Case(each.bundle, each.bundle_id, setting, words), {})
            row = of_case.setdefault(each.device, {})
            row[entry.network] = _better(row.get(entry.network), entry)
    cases = sorted(found, key=lambda case: (case.bundle, case.bundle_id, case.conditions, _order(case.setting)))
    return tuple(_block(case, found[case], networks[case.bundle_id], devices) for case in cases)


def _better(earlier: Entry | None, later: Entry) -> Entry:
    if earlier is None or later.median_ms is not None or earlier.median_ms is None:
        return later
    return earlier


def _block(
    case: Case, found: Mapping[str, Mapping[str, Entry]], networks: Sequence[Network], devices: Sequence[Device]
) -> Block:
    asked = {name for row in found.values() for name in row}
    shown = tuple(each for each in networks if each.name in asked)
    rows = tuple(
        tuple(found.get(device.name, {}).get(network.name) or _absent(device, network.name) for network in shown)
        for device in devices
    )
    return Block(case, shown, rows)


def _absent(device: Device, network: str) -> Entry:
    reason = device.absence or "; ".join(device.left_out) or "this device was not asked for it"
    return Entry(device.name, network, "not_measured", reason)


def _conditions(results: Sequence[ResultSummary]) -> list[tuple[str, ...]]:
    """Of each result in words, how it was asked to be measured, as far as not all were asked alike."""
    asked = [
        {
            name.partition(": ")[2]: value or "as usual"
            for name, value in result.surroundings.items()
            if name.startswith(_ASKED) and name not in _IRRELEVANT
        }
        for result in results
    ]
    names = distinct(name for each in asked for name in each)
    differing = [name for name in names if len({each.get(name) for each in asked}) > 1]
    return [tuple(f"{name} {each.get(name, 'as usual')}" for name in differing) for each in asked]


def _order(setting: Setting) -> tuple[str, str, str, int]:
    return str(setting.power_mode or ""), setting.backend, setting.precision, setting.batch_size
